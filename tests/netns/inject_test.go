//go:build linux

package netns

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-dev/bulkhead/sidecar/config"
)

// A step is a system call by which the sidecar, or a tool that it runs, can change
// anything: each message to netlink and each start of a program. The kernel asks us
// before it carries one out (seccomp's user notification, seccomp_unotify(2)), so the
// sidecar itself needs no hooks, and every step of every tool is one.

// fault is what befalls the sidecar.
type fault int

const (
	// fails: the step's system call returns an error.
	fails fault = iota
	// killed: the sidecar and its tools get SIGKILL instead of the step.
	killed
)

func (f fault) String() string { return [...]string{"fails", "killed"}[f] }

// stageCommand is how the test calls itself to become the sidecar under a filter.
const stageCommand = "stage-sidecar"

// stage installs the filter, tells its parent the listener's number, waits to be
// let go and becomes the program.
func stage(program []string) error {
	runtime.LockOSThread()
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // seccomp_data.nr
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 3, K: unix.SYS_SENDTO},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 2, K: unix.SYS_SENDMSG},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 1, K: unix.SYS_EXECVE},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF},
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	listener, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return fmt.Errorf("install the filter: %w", errno)
	}
	fmt.Println(listener)
	if _, err := os.Stdin.Read(make([]byte, 1)); err != nil {
		return err
	}
	return syscall.Exec(program[0], program, os.Environ())
}

// initUntil runs bulkhead-init to its end, with a fault at a step; step 0 is none. It
// returns how many steps there were and whether it succeeded.
func (p *pod) initUntil(t testing.TB, c *config.Config, what fault, step int) (steps int, succeeded bool) {
	t.Helper()
	text, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, stageCommand, built, "init", "--outside-a-pod")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), config.EnvVar + "=" + text}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.must(t, cmd.Start)
	listener, err := listenerOf(cmd.Process.Pid, stdout)
	if err == nil {
		_, err = io.WriteString(stdin, "\n")
	}
	if err != nil {
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
		_ = cmd.Wait()
		t.Fatalf("stage the sidecar: %v\n%s", err, &stderr)
	}
	defer unix.Close(listener)
	steps, err = supervise(listener, func(n int) error {
		if n != step || step == 0 {
			return nil
		}
		if what == killed {
			return unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
		}
		return unix.ENOMEM
	})
	if err != nil {
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
	}
	ended := cmd.Wait()
	if err != nil {
		t.Fatalf("supervise the sidecar: %v\n%s", err, &stderr)
	}
	return steps, ended == nil
}

// listenerOf reads the number of a process' listener and takes a copy of it.
func listenerOf(pid int, stdout io.Reader) (int, error) {
	line := make([]byte, 16)
	n, err := stdout.Read(line)
	if err != nil {
		return 0, err
	}
	number, err := strconv.Atoi(strings.TrimSpace(string(line[:n])))
	if err != nil {
		return 0, err
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(pidfd)
	return unix.PidfdGetfd(pidfd, number, 0)
}

// supervise answers until nobody is left under the filter. The first step is the
// sidecar's own start and not counted. An errno of decide's is what the call returns;
// nil lets it go on.
func supervise(listener int, decide func(step int) error) (steps int, err error) {
	const receive, send, goOn = 0xc0502100, 0xc0182101, 1 // linux/seccomp.h
	for first := true; ; first = false {
		poll := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, int((20 * time.Second).Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return steps, err
		case n == 0:
			return steps, errors.New("nothing happens")
		case poll[0].Revents&unix.POLLIN == 0:
			return steps, nil
		}
		var notification [80]byte
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), receive, uintptr(unsafe.Pointer(&notification))); errno != 0 {
			if errno == unix.ENOENT || errno == unix.EINTR { // it died meanwhile
				continue
			}
			return steps, errno
		}
		var response [24]byte
		copy(response[:8], notification[:8])
		binary.NativeEndian.PutUint32(response[20:], goOn)
		if !first {
			steps++
			if fault := decide(steps); fault != nil {
				errno, ok := fault.(unix.Errno)
				if !ok {
					return steps, fault
				}
				binary.NativeEndian.PutUint32(response[16:], uint32(-int32(errno)))
				binary.NativeEndian.PutUint32(response[20:], 0)
			}
		}
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), send, uintptr(unsafe.Pointer(&response))); errno != 0 && errno != unix.ENOENT {
			return steps, errno
		}
	}
}
