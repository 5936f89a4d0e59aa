package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// The cluster's programs, for StopComponent and StartComponent.
const (
	Etcd              = "etcd"
	Containerd        = "containerd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	Kubelet           = "kubelet"
	KubeProxy         = "kube-proxy"
	outsideHost       = "outside"
)

// component is one of the node's long-running programs.
type component struct {
	args    []string
	command *exec.Cmd
	ended   chan struct{} // closed when the program has ended
	told    bool          // to end
}

// run starts a component by its command line, with its output in LOGS/name.log.
func (n *node) run(name string, args ...string) error {
	log, err := os.OpenFile(filepath.Join(logDir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	started := &component{args: args, command: n.command(context.Background(), args...), ended: make(chan struct{})}
	started.command.Stdout, started.command.Stderr = log, log
	started.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := started.command.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	n.mu.Lock()
	n.components[name] = started
	n.mu.Unlock()
	go func() {
		ended := started.command.Wait()
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.failed == nil && !started.told {
			n.failed = fmt.Errorf("%s has ended by itself (%v)", name, ended)
		}
		close(started.ended)
	}()
	return nil
}

// failure tells which component ended without having been told to, if any did.
func (n *node) failure() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.failed
}

// StopComponent ends one of the cluster's programs by a signal and waits until it has ended: SIGKILL is a crash,
// SIGTERM an upgrade. Pods keep running without any of them.
func (c *Cluster) StopComponent(ctx context.Context, name string, signal syscall.Signal) error {
	c.node.mu.Lock()
	running, ok := c.node.components[name]
	if ok {
		running.told = true
	}
	c.node.mu.Unlock()
	if !ok {
		return fmt.Errorf("the cluster has no component %s", name)
	}
	// The group: nsenter(1) waits outside the node's process namespace for the program itself inside.
	group := -running.command.Process.Pid
	if err := syscall.Kill(group, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal %s: %w", name, err)
	}
	return c.Wait(ctx, name+" to end", 30*time.Second, func(context.Context) error {
		select {
		case <-running.ended:
		default:
			return errors.New("it runs")
		}
		if err := syscall.Kill(group, 0); !errors.Is(err, syscall.ESRCH) {
			return errors.New("some of its processes run")
		}
		return nil
	})
}

// StartComponent starts a stopped component again, with its command line and more at the end of that: of a flag that
// is given twice the last counts, or both if it is a list. It does not wait until the component is ready for work;
// WaitAPIServer does for one of them.
func (c *Cluster) StartComponent(name string, more ...string) error {
	c.node.mu.Lock()
	stopped, ok := c.node.components[name]
	c.node.mu.Unlock()
	if !ok {
		return fmt.Errorf("the cluster has no component %s", name)
	}
	return c.node.run(name, slices.Concat(stopped.args, more)...)
}

// RestartAPIServer ends the API server in good order and starts it again, with more flags, and waits until it is ready.
func (c *Cluster) RestartAPIServer(ctx context.Context, more ...string) error {
	if err := c.StopComponent(ctx, APIServer, syscall.SIGTERM); err != nil {
		return err
	}
	if err := c.StartComponent(APIServer, more...); err != nil {
		return err
	}
	return c.WaitAPIServer(ctx)
}
