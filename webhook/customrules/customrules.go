// Package customrules adds the rules of a folder to Bulkhead's own, and takes the
// folder's changes over while reviews go on.
//
// A set of rules is taken whole and only when it compiles; what does not is refused,
// logged and counted, and the last good set goes on. At start there is none: then it
// is an error, since to go on without an administrator's rules would admit what they
// refuse.
package customrules

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"

	"github.com/bulkhead-dev/bulkhead/webhook"
)

// maxBytes bounds the rules of a folder; a ConfigMap holds no more.
const maxBytes = 1 << 20

// period is how often the folder is looked at. The kubelet takes up to a minute to
// bring a changed ConfigMap.
const period = 5 * time.Second

// Compile makes an engine of Bulkhead's rules and the given modules, by file name.
type Compile func(ctx context.Context, modules map[string]string) (webhook.Engine, error)

// Rules are a folder's, beside Bulkhead's own. They are safe for concurrent use.
type Rules struct {
	folder  string
	compile Compile
	metrics *Metrics
	current atomic.Pointer[webhook.Engine]
	// seen is what was last compiled, refused or not; unread why there was nothing to
	// compile.
	seen   map[string]string
	unread string
}

// New compiles the rules of the folder.
func New(ctx context.Context, folder string, compile Compile, metrics *Metrics) (*Rules, error) {
	e := &Rules{folder: folder, compile: compile, metrics: metrics}
	if _, err := e.load(ctx); err != nil {
		return nil, fmt.Errorf("custom rules of %s: %w", folder, err)
	}
	return e, nil
}

// Current returns the set in use.
func (e *Rules) Current() webhook.Engine { return *e.current.Load() }

// Run follows the folder until the context ends.
func (e *Rules) Run(ctx context.Context) { wait.UntilWithContext(ctx, e.reload, period) }

func (e *Rules) reload(ctx context.Context) {
	changed, err := e.load(ctx)
	switch {
	case err != nil && changed:
		e.metrics.refuse()
		klog.ErrorS(err, "Custom rules refused, the last good set goes on", "folder", e.folder)
	case changed:
		klog.InfoS("Custom rules taken", "folder", e.folder, "modules", len(e.seen))
	}
}

// load takes the folder's rules if they are others than last time.
func (e *Rules) load(ctx context.Context) (changed bool, err error) {
	modules, err := Read(e.folder)
	if err != nil {
		changed = err.Error() != e.unread
		e.seen, e.unread = nil, err.Error()
		return changed, err
	}
	e.unread = ""
	if e.seen != nil && maps.Equal(modules, e.seen) {
		return false, nil
	}
	e.seen = modules
	engine, err := e.compile(ctx, modules)
	if err != nil {
		return true, err
	}
	e.current.Store(&engine)
	e.metrics.take(len(modules))
	return true, nil
}

// Read returns the folder's .rego files but tests, by name. Anything else is an error,
// since a rule under a misspelt name would never count; only what begins with a dot is
// passed over. A projected volume is swapped by its link ..data: what lies behind that is
// read, so that old and new are not mixed.
func Read(folder string) (map[string]string, error) {
	if target, err := filepath.EvalSymlinks(filepath.Join(folder, "..data")); err == nil {
		folder = target
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("find the rules: %w", err)
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("list the rules: %w", err)
	}
	modules, total := map[string]string{}, 0
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, ".") || strings.HasSuffix(name, "_test.rego") {
			continue
		}
		if filepath.Ext(name) != ".rego" {
			return nil, fmt.Errorf("%s is not named *.rego, so that no rule of it would count: rename it, or take it away", name)
		}
		source, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			return nil, fmt.Errorf("read the rules: %w", err)
		}
		if total += len(source); total > maxBytes {
			return nil, fmt.Errorf("read the rules: more than %d bytes", maxBytes)
		}
		modules[name] = string(source)
	}
	return modules, nil
}
