//go:build linux

package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// slim gives memory back that a sidecar at rest has no use for: freed heap, and the
// pages of its own program that were read in to start, to repair or to report. The
// kernel reads a page in again when it is needed, from the cache that all sidecars of
// a node share.
func slim() error {
	debug.FreeOSMemory()
	program, err := os.Executable()
	if err != nil {
		return err
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return err
	}
	defer maps.Close()
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		var from, to uintptr
		var rights string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &rights); err != nil {
			return fmt.Errorf("read the memory map: %w", err)
		}
		// What can be written is not the program's file any longer.
		if strings.Contains(rights, "w") || !strings.HasSuffix(lines.Text(), " "+program) {
			continue
		}
		if _, _, number := unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED); number != 0 {
			return fmt.Errorf("give pages of the program back: %w", number)
		}
	}
	return lines.Err()
}
