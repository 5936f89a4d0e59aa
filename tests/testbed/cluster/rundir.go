package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/progress"
	"golang.org/x/sys/unix"
)

// The run folder holds everything that a running cluster writes. It is fixed, so that a later run can find what a
// crashed one left, and short, because the path of a unix socket may have 107 bytes (unix(7)). It is outside the
// folders that the node hides behind file systems of its own (see node.sh).
const (
	runDir    = "/var/cache/bulkhead-testbed"
	binDir    = runDir + "/bin"
	logDir    = runDir + "/logs"
	pkiDir    = runDir + "/pki"
	cniDir    = runDir + "/cni"
	homeDir   = runDir + "/home"
	filesDir  = runDir + "/files"
	stateFile = runDir + "/state.json"
)

// ErrRunning says that another test bed is running on this machine; there can be one.
var ErrRunning = errors.New("another test bed is running on this machine")

// acquireInTurn is acquire once no other test bed runs.
func acquireInTurn(ctx context.Context, log *progress.Log) (*os.File, error) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for told := false; ; told = true {
		lock, err := acquire()
		if !errors.Is(err, ErrRunning) {
			return lock, err
		}
		if !told {
			log.Printf("  %v; waiting for its end", err)
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), err)
		case <-ticker.C:
		}
	}
}

// acquire takes the run folder for this process and empties it of what an earlier run left. The kernel releases the
// lock (flock(2)) when the process ends, however it ends.
func acquire() (*os.File, error) {
	for {
		if err := os.MkdirAll(runDir, 0o755); err != nil {
			return nil, err
		}
		dir, err := os.Open(runDir)
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			dir.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				return nil, fmt.Errorf("%w; it holds %s", ErrRunning, runDir)
			}
			return nil, fmt.Errorf("lock %s: %w", runDir, err)
		}
		// Another process may have removed the folder between our opening and locking it: then we hold a ghost.
		locked, err := dir.Stat()
		if err != nil {
			dir.Close()
			return nil, err
		}
		if current, err := os.Stat(runDir); err != nil || !os.SameFile(locked, current) {
			dir.Close()
			continue
		}
		if err := reclaim(); err != nil {
			dir.Close()
			return nil, fmt.Errorf("remove what an earlier run left: %w", err)
		}
		return dir, nil
	}
}

// release removes the run folder and gives up the lock.
func release(lock *os.File) error {
	return errors.Join(os.RemoveAll(runDir), lock.Close())
}

// Clean removes what a crashed run left. It fails with ErrRunning if a run is still going on.
func Clean() error {
	lock, err := acquire()
	if err != nil {
		return err
	}
	return release(lock)
}

// process names one process for good: a pid alone is reused, together with the start time it is not.
type process struct {
	PID       int    `json:"pid"`
	StartTime uint64 `json:"startTime"` // clock ticks after boot, field 22 of proc_pid_stat(5)
}

func reclaim() error {
	content, err := os.ReadFile(stateFile)
	if err == nil {
		var init process
		if err := json.Unmarshal(content, &init); err != nil {
			return fmt.Errorf("parse %s: %w", stateFile, err)
		}
		if err := init.kill(); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := removeCgroups(); err != nil {
		return err
	}
	left, err := filepath.Glob(runDir + "/*")
	for _, path := range left {
		err = errors.Join(err, os.RemoveAll(path))
	}
	return err
}

func (p process) save() error {
	content, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return os.WriteFile(stateFile, content, 0o600)
}

// kill ends the process, if it still is the one that was saved, and waits until it is gone.
func (p process) kill() error {
	deadline := time.Now().Add(10 * time.Second)
	for p.alive() {
		if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("kill process %d: %w", p.PID, err)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d does not end", p.PID)
		}
		time.Sleep(pollInterval)
	}
	return nil
}

func (p process) alive() bool {
	started, state, err := startTime(p.PID)
	return err == nil && started == p.StartTime && state != "Z"
}

// startTime reads when a process began and its state. The process's name, in parentheses, may hold any character.
func startTime(pid int) (uint64, string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, "", err
	}
	_, after, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')'):]), " ")
	fields := strings.Fields(after)
	if len(fields) < 20 {
		return 0, "", fmt.Errorf("unexpected content of /proc/%d/stat: %q", pid, stat)
	}
	ticks, err := strconv.ParseUint(fields[19], 10, 64)
	return ticks, fields[0], err
}
