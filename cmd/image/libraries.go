package main

import (
	"debug/elf"
	"fmt"
	"os"
	"path"
	"runtime"
	"slices"
)

// debianTriplet is Debian's name for this architecture in library paths; see
// https://wiki.debian.org/Multiarch/Tuples.
func debianTriplet() (string, error) {
	switch runtime.GOARCH {
	case "amd64":
		return "x86_64-linux-gnu", nil
	case "arm64":
		return "aarch64-linux-gnu", nil
	}
	return "", fmt.Errorf("no images are built for %s", runtime.GOARCH)
}

// libraryDirs are the directories that Debian's dynamic loader searches without
// a cache, in its order (ld.so(8), and the multiarch directories before).
func libraryDirs(triplet string) []string {
	return []string{path.Join("/lib", triplet), path.Join("/usr/lib", triplet), "/lib", "/usr/lib"}
}

// resolveLibraries returns the loaders and shared libraries that ELF files need,
// directly and through one another, as the paths where the loader finds them,
// sorted. Where ldd runs the loader, this reads the headers: it works for
// extensions, which are loaded by name, as for programs, and runs nothing.
func resolveLibraries(files, dirs []string) ([]string, error) {
	loaders, found := map[string]string{}, map[string]bool{}
	for queue := slices.Clone(files); len(queue) > 0; queue = queue[1:] {
		loader, needed, err := elfNeeds(queue[0])
		if err != nil {
			return nil, err
		}
		if loader != "" {
			loaders[path.Base(loader)] = loader
		}
		for _, soname := range needed {
			// libc needs the loader by its name, which is loaded already.
			library, ok := loaders[soname]
			if !ok {
				library, ok = search(dirs, soname)
			}
			if !ok {
				return nil, fmt.Errorf("library %s, needed by %s, is in none of %v", soname, queue[0], dirs)
			}
			if !found[library] {
				found[library] = true
				queue = append(queue, library)
			}
		}
	}
	var all []string
	for _, loader := range loaders {
		found[loader] = true
	}
	for library := range found {
		all = append(all, library)
	}
	slices.Sort(all)
	return all, nil
}

func search(dirs []string, soname string) (string, bool) {
	for _, dir := range dirs {
		file := path.Join(dir, soname)
		if _, err := os.Stat(file); err == nil {
			return file, true
		}
	}
	return "", false
}

// elfNeeds returns a file's program interpreter, if it names one, and the
// libraries that it names as needed.
func elfNeeds(file string) (loader string, needed []string, err error) {
	f, err := elf.Open(file)
	if err != nil {
		return "", nil, fmt.Errorf("read ELF file: %w", err)
	}
	defer f.Close()
	for _, segment := range f.Progs {
		if segment.Type != elf.PT_INTERP {
			continue
		}
		data := make([]byte, segment.Filesz)
		if _, err := segment.ReadAt(data, 0); err != nil {
			return "", nil, fmt.Errorf("read the interpreter of %s: %w", file, err)
		}
		loader = string(data[:max(0, len(data)-1)]) // ends with a NUL
	}
	if needed, err = f.ImportedLibraries(); err != nil {
		return "", nil, fmt.Errorf("read the libraries of %s: %w", file, err)
	}
	return loader, needed, nil
}
