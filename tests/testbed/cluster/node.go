package cluster

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/host"
)

//go:embed node.sh
var nodeScript string

// node is the set of namespaces that everything runs in.
type node struct {
	pid     int // of the node's process 1, outside
	init    *exec.Cmd
	stopped chan struct{}

	mu         sync.Mutex
	components map[string]*component
	failed     error // the first component that ended by itself
}

// startNode makes the namespaces and prepares them by node.sh.
func startNode(ctx context.Context, network Network) (*node, error) {
	n := &node{
		init:       exec.Command(filepath.Join(binDir, "pause")),
		stopped:    make(chan struct{}),
		components: map[string]*component{},
	}
	n.init.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Setsid:     true, // a terminal's Ctrl-C is for this program to handle
		Pdeathsig:  syscall.SIGKILL,
	}
	started := make(chan error)
	go func() {
		// The death signal is sent when the thread that started the child ends (prctl(2), PR_SET_PDEATHSIG), so that
		// thread has to live as long as the node.
		runtime.LockOSThread()
		started <- n.init.Start()
		<-n.stopped
	}()
	if err := <-started; err != nil {
		close(n.stopped)
		return nil, err
	}
	n.pid = n.init.Process.Pid
	if err := n.prepare(ctx, network); err != nil {
		return nil, errors.Join(err, n.stop())
	}
	return n, nil
}

func (n *node) prepare(ctx context.Context, network Network) error {
	ticks, _, err := startTime(n.pid)
	if err != nil {
		return err
	}
	if err := (process{PID: n.pid, StartTime: ticks}).save(); err != nil {
		return err
	}
	script := n.command(ctx, "sh", "-c", nodeScript, "node.sh")
	script.Env = slices.Concat(script.Env, []string{"RUN=" + runDir}, network.scriptVariables())
	if output, err := script.CombinedOutput(); err != nil {
		return fmt.Errorf("node.sh: %w: %s", err, output)
	}
	return nil
}

// command is a command inside the node.
func (n *node) command(ctx context.Context, args ...string) *exec.Cmd {
	enter := []string{"--target", strconv.Itoa(n.pid), "--mount", "--net", "--pid", "--uts", "--ipc", "--"}
	command := exec.CommandContext(ctx, "nsenter", append(enter, args...)...)
	command.Env = []string{"PATH=" + binDir + ":" + host.Path, "HOME=" + homeDir, "TMPDIR=/tmp"}
	return command
}

// stop ends every process of the node: the kernel kills what is left in a process namespace whose process 1 dies
// (pid_namespaces(7)).
func (n *node) stop() error {
	err := n.init.Process.Kill()
	if waited := n.init.Wait(); waited != nil {
		if exit := (*exec.ExitError)(nil); !errors.As(waited, &exit) {
			err = errors.Join(err, waited)
		}
	}
	close(n.stopped)
	return err
}

// NodeCommand is a command on the node, not yet started: of its programs, in its network and with its processes. Its
// /run, /tmp, /var/lib and /var/log are the node's own; WriteFile makes files that both sides see.
func (c *Cluster) NodeCommand(ctx context.Context, args ...string) *exec.Cmd {
	return c.node.command(ctx, args...)
}

// NodeExec runs a command on the node, as its administrator would, and returns what it printed to stdout.
func (c *Cluster) NodeExec(ctx context.Context, args ...string) (string, error) {
	return c.nodeExec(ctx, nil, args...)
}

func (c *Cluster) nodeExec(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	command := c.node.command(ctx, args...)
	command.Stdin = stdin
	return output(command)
}

// OutsideExec runs a command at the outside host, in its network.
func (c *Cluster) OutsideExec(ctx context.Context, args ...string) (string, error) {
	return c.NodeExec(ctx, outside(args...)...)
}

func outside(args ...string) []string {
	return append([]string{"nsenter", "--net=/run/netns/outside", "--"}, args...)
}

// WriteFile writes a file that the cluster's components see under the returned path, and that ends with the cluster:
// configuration for flags of theirs.
func (c *Cluster) WriteFile(name string, content []byte) (string, error) {
	path := filepath.Join(filesDir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	return path, os.WriteFile(path, content, 0o644)
}
