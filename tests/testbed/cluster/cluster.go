// Package cluster starts a real, single-node Kubernetes cluster on this machine and takes it down without a trace:
// upstream's etcd, API server, controllers, scheduler, kubelet and kube-proxy, with the distribution's containerd and
// CNI plugins. No registry, no internet, no virtual machine.
//
// The node is a set of Linux namespaces (mount, network, process, UTS, IPC) with a reaper as its process 1, in which
// everything runs. That is what makes the tear-down complete: when process 1 dies, and it dies with this program even
// by SIGKILL, the kernel ends every process of the node and drops its mounts, network namespaces and veths with them.
// Only two things outlive it, the run folder and the cgroups, and Stop, or the next Start, or Clean removes those.
//
// The node's network has no link to the machine's: nothing that a pod sends can leave, and the machine's routes and
// rules are untouched. The API server is reached through a forwarder on a loopback port.
//
// The flow: Start takes the run folder, makes the node, issues certificates, starts the components in the order of
// their needs and waits until the node is Ready. Then LoadImage, Helm, Kubectl, Client, Exec and NodeExec are what
// tests and the demo are made of. Stop ends it.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/build"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/host"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/image"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/progress"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Options say what cluster to start. Repository and Log are required.
type Options struct {
	// Repository is the root of the Bulkhead repository: binaries are cached below it in .cache, logs of a failed
	// run are kept below it in out/testbed-logs.
	Repository string
	// Ranges gives namespaces address ranges of their own, as CIDRs. The first is the pod's primary family. Without
	// Routed they are parts of Network.PodCIDRs above 10.244.16.0 and fd00:10:244:0:1::.
	Ranges map[string][]string
	// Routed gives each pod a link of its own. Without it all are on one bridge.
	Routed bool
	// Second, if not empty, gives every pod a second interface, SecondInterface, by macvlan: all pods of all
	// namespaces are in one network there, Network.SecondCIDRs, of which it names the namespaces' parts.
	Second map[string][]string
	// ProxyMode is kube-proxy's, ProxyIPTables if it is empty.
	ProxyMode ProxyMode
	// APIServerFlags are flags of the API server after the test bed's own: "--disable-admission-plugins=PodSecurity".
	APIServerFlags []string
	// ControlPlaneOnly leaves the node out: etcd, API server and controller manager. Pods are admitted and stay
	// Pending. It starts in half the time, and needs neither containerd nor cgroups.
	ControlPlaneOnly bool
	// Log is told each step.
	Log *progress.Log
}

// Testbed is the folder of the test bed's own sources.
func (o Options) Testbed() string { return filepath.Join(o.Repository, "tests", "testbed") }

// keptLogs is where the logs of a failed run are kept until the next run.
func (o Options) keptLogs() string { return filepath.Join(o.Repository, "out", "testbed-logs") }

// Cluster is a running cluster. Its methods may be called from several goroutines.
type Cluster struct {
	options  Options
	binaries map[string]string
	lock     *os.File
	node     *node
	network  Network
	forward  *forwarder
	config   *rest.Config
	client   kubernetes.Interface
	stopOnce sync.Once
	stopErr  error
}

// Build makes the binaries that Start and the installs need, and returns their paths by target name.
func Build(ctx context.Context, options Options) (map[string]string, error) {
	targets, err := build.Targets(options.Testbed())
	if err != nil {
		return nil, err
	}
	cache := build.Cache{Dir: filepath.Join(options.Repository, ".cache", "testbed"), Log: options.Log}
	return cache.All(ctx, targets)
}

// Start boots a cluster and returns when its node is Ready. What an earlier run left behind is removed first; if
// another test bed is running on this machine, Start waits for its end.
// On an error nothing is left running; the error names the folder with the components' logs.
func Start(ctx context.Context, options Options) (*Cluster, error) {
	if err := host.Prepare(ctx, options.Log); err != nil {
		return nil, err
	}
	binaries, err := Build(ctx, options)
	if err != nil {
		return nil, err
	}
	c := &Cluster{options: options, binaries: binaries, network: newNetwork(options)}
	if c.lock, err = acquireInTurn(ctx, options.Log); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(options.keptLogs()); err != nil {
		return nil, errors.Join(err, release(c.lock))
	}
	if err := options.Log.Step("boot the cluster", func() error { return c.boot(ctx) }); err != nil {
		logs, keepErr := c.KeepLogs()
		return nil, errors.Join(fmt.Errorf("%w; logs are in %s", err, logs), keepErr, c.Stop())
	}
	return c, nil
}

func (c *Cluster) boot(ctx context.Context) error {
	for _, dir := range []string{binDir, logDir, pkiDir, cniDir, homeDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := c.placeBinaries(); err != nil {
		return err
	}
	if !c.options.ControlPlaneOnly {
		if err := createCgroups(); err != nil {
			return fmt.Errorf("create cgroups: %w", err)
		}
	}
	var err error
	if c.node, err = startNode(ctx, c.network); err != nil {
		return fmt.Errorf("make the node's namespaces: %w", err)
	}
	if err := issueCertificates(c.network); err != nil {
		return fmt.Errorf("issue certificates: %w", err)
	}
	if c.forward, err = startForwarder(c.node.pid, apiServerPort); err != nil {
		return err
	}
	if err := c.connect(); err != nil {
		return err
	}
	if c.options.ControlPlaneOnly {
		return c.startControlPlane(ctx)
	}
	if err := c.startContainerd(ctx); err != nil {
		return err
	}
	if err := c.startControlPlane(ctx); err != nil {
		return err
	}
	if err := c.LoadImages(ctx, image.Pause(c.binaries[build.Pause])); err != nil {
		return err
	}
	return c.startNodeAgents(ctx)
}

// Stop ends the cluster and removes everything that it left: processes, namespaces, mounts, cgroups and the run
// folder. It may be called more than once.
func (c *Cluster) Stop() error {
	c.stopOnce.Do(func() {
		var errs []error
		if c.forward != nil {
			errs = append(errs, c.forward.stop())
		}
		if c.node != nil {
			errs = append(errs, c.node.stop())
		}
		errs = append(errs, removeCgroups(), release(c.lock))
		if err := errors.Join(errs...); err != nil {
			c.stopErr = &StopError{err}
		}
	})
	return c.stopErr
}

// StopError is why something of a cluster may be left, which matters also where nothing else of a run does any more.
type StopError struct{ Err error }

func (e *StopError) Error() string { return e.Err.Error() }
func (e *StopError) Unwrap() error { return e.Err }

// Network tells the addresses of the cluster, for the configuration of what is installed in it.
func (c *Cluster) Network() Network { return c.network }

// Options are those that the cluster was started with.
func (c *Cluster) Options() Options { return c.options }

// Binary is the path of one of the built binaries, by its target's name.
func (c *Cluster) Binary(target string) string { return c.binaries[target] }

// KeepLogs copies the logs of components and pods out of the run folder, which Stop removes, adds what the API server
// knows of pods and events, and returns where to.
func (c *Cluster) KeepLogs() (string, error) {
	kept := c.options.keptLogs()
	if err := os.RemoveAll(kept); err != nil {
		return kept, err
	}
	if err := os.CopyFS(kept, os.DirFS(logDir)); err != nil {
		return kept, err
	}
	// The API server may be what has failed, and the caller's context what has ended.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for file, args := range map[string][]string{
		"pods.yaml":  {"get", "pods", "--all-namespaces", "--output=yaml"},
		"events.txt": {"get", "events", "--all-namespaces", "--sort-by=.lastTimestamp"},
	} {
		state, err := c.Kubectl(ctx, args...)
		if err != nil {
			state += err.Error()
		}
		if err := os.WriteFile(filepath.Join(kept, file), []byte(state), 0o644); err != nil {
			return kept, err
		}
	}
	return kept, nil
}
