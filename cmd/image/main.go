// Command image builds Bulkhead's container images without a container
// daemon, a registry or a base image.
//
//	go run ./cmd/image                     all, as docker-archives in out/images
//	go run ./cmd/image -rootfs DIR webhook the webhook's file tree in DIR/webhook
//
// The flow: compile the static binary (compile.go), lay out a file tree
// (webhook.go, firewall.go, probe.go; rootfs.go), write it as one layer with its
// configuration (archive.go). The firewall's and the probe's trees hold tools of
// the host, which must be Debian or derived from it, with the libraries that
// their ELF headers name (libraries.go) and what dpkg knows of their packages
// (packages.go). Nothing is installed: what is missing is named.
//
// The same input gives the same bytes: times are zero, entries sorted, owners
// and modes fixed. The Dockerfiles use -rootfs, so that both ways give the same
// files.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// recipe is one image: how to lay out its files around its binary, and how to
// start it.
type recipe struct {
	name    string // of the image; its binary is bulkhead-<name>
	title   string
	layout  func(ctx context.Context, binary string) (rootfs, error)
	user    string
	environ []string
}

func (r recipe) binary() string { return "bulkhead-" + r.name }

func recipes() []recipe {
	return []recipe{
		{
			name:   "webhook",
			title:  "Bulkhead admission webhook",
			layout: webhookLayout,
			user:   fmt.Sprintf("%d:%d", nonroot, nonroot),
		},
		{
			name:    "firewall",
			title:   "Bulkhead firewall sidecar",
			layout:  firewallLayout,
			user:    "0:0",
			environ: []string{"PATH=" + sbin},
		},
		{
			name:    "probe",
			title:   "Bulkhead verify's probe",
			layout:  probeLayout,
			user:    "0:0",
			environ: []string{"PATH=" + sbin},
		},
	}
}

type options struct {
	registry string
	tag      string
	version  string
	output   string
	rootfs   string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()

	var o options
	flag.StringVar(&o.registry, "registry", "registry.local/bulkhead", "`prefix` of the images' names")
	flag.StringVar(&o.tag, "tag", "dev", "the images' tag")
	flag.StringVar(&o.version, "version", "dev", "version that the binaries report")
	flag.StringVar(&o.output, "output", "out/images", "`directory` for the docker-archives")
	flag.StringVar(&o.rootfs, "rootfs", "", "write file trees into this `directory` instead of docker-archives")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: image [flags] [webhook] [firewall] [probe]")
		flag.PrintDefaults()
	}
	flag.Parse()

	chosen, err := choose(recipes(), flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(2)
	}
	if err := run(ctx, o, chosen, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// choose returns the recipes of these names, all of them for no names.
func choose(all []recipe, names []string) ([]recipe, error) {
	if len(names) == 0 {
		return all, nil
	}
	var chosen []recipe
	for _, name := range names {
		i := slices.IndexFunc(all, func(r recipe) bool { return r.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no image is called %q", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

func run(ctx context.Context, o options, chosen []recipe, out io.Writer) error {
	build, err := os.MkdirTemp("", "bulkhead-image-")
	if err != nil {
		return fmt.Errorf("make a build directory: %w", err)
	}
	defer os.RemoveAll(build)

	for _, r := range chosen {
		if err := buildImage(ctx, o, r, build, out); err != nil {
			return fmt.Errorf("build %s: %w", r.name, err)
		}
	}
	return nil
}

func buildImage(ctx context.Context, o options, r recipe, build string, out io.Writer) error {
	binary, err := compile(ctx, r.binary(), o.version, build)
	if err != nil {
		return err
	}
	files, err := r.layout(ctx, binary)
	if err != nil {
		return err
	}
	if o.rootfs != "" {
		return files.writeDirectory(filepath.Join(o.rootfs, r.name))
	}
	img, err := r.image(files, o.version)
	if err != nil {
		return err
	}
	tag := strings.TrimSuffix(o.registry, "/") + "/" + r.name + ":" + o.tag
	archive := filepath.Join(o.output, r.name+".tar")
	if err := writeArchive(img, tag, archive); err != nil {
		return err
	}
	return report(out, img, tag, archive)
}

// platform is what the images are built for: the firewall's tools are the
// host's.
func platform() (os, architecture string) { return "linux", runtime.GOARCH }
