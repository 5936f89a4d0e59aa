//go:build linux

package run

import (
	"context"
	"strings"
	"time"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/sidecar/apply"
)

// Reporter takes what happened to where people see it. It must not block: what it
// cannot take it drops and says so itself.
type Reporter interface {
	Report(ctx context.Context, record protocol.Record)
}

// report says what was found. Differences from a plan that was in force before
// are tampering: nobody but this sidecar has reason to change its rules. It is told
// when it is repaired; until then the failure is.
func (f *Firewall) report(ctx context.Context, found apply.Report, news news, err error) {
	if err != nil {
		if f.unrepaired == nil && len(found.Differences) > 0 {
			f.unrepaired, f.since = &found, time.Now().Add(-found.Whole)
		}
		return
	}
	if first := f.unrepaired; first != nil {
		found = apply.Report{Differences: first.Differences, Guarded: first.Guarded, Whole: time.Since(f.since)}
		f.unrepaired = nil
	}
	if len(found.Differences) == 0 {
		return
	}
	var texts []string
	for _, difference := range found.Differences {
		texts = append(texts, difference.Text)
	}
	attributes := []any{"tenant", f.Config.Tenant, "took", found.Whole.String(), "differences", texts}
	switch {
	case !f.inForce:
		f.Log.Info("rules brought in", "tenant", f.Config.Tenant, "took", found.Whole.String(), "differences", len(texts))
	case news.explain(found.Differences):
		f.Log.Info("rules renewed for the pod's new addresses, or its peers'", attributes...)
	default:
		f.tamperings++
		f.Log.Warn("rules were tampered with and repaired", append(attributes, "guarded", found.Guarded.String(), "tamperings", f.tamperings)...)
		f.tell(ctx, protocol.Record{Tampering: &protocol.Tampering{
			Time:    time.Now(),
			Kind:    found.Differences[0].Kind,
			Detail:  protocol.Text(strings.Join(texts, "; ")),
			Guarded: min(found.Guarded, protocol.MaxDuration),
			Whole:   min(found.Whole, protocol.MaxDuration),
		}})
	}
}

// failure says what keeps the rules from being in force, once for each cause, and that
// it is over.
func (f *Firewall) failure(ctx context.Context, err error) {
	switch {
	case err == nil && f.failed != "":
		f.Log.Info("rules are in force again", "tenant", f.Config.Tenant)
		f.failed = ""
	case err != nil && f.failed != err.Error():
		f.failed = err.Error()
		f.Log.Error("rules are not in force", "tenant", f.Config.Tenant, "error", f.failed)
		f.tell(ctx, protocol.Record{Failure: &protocol.Failure{Time: time.Now(), Detail: protocol.Text(f.failed)}})
	}
}

// count tells what was dropped since the last time.
func (f *Firewall) count(ctx context.Context) {
	drops, err := f.Enforcer.Dropped()
	if err != nil {
		f.Log.Warn("dropped packets cannot be counted", "tenant", f.Config.Tenant, "error", err.Error())
		return
	}
	for i := range drops {
		f.tell(ctx, protocol.Record{Drops: &drops[i]})
	}
}

func (f *Firewall) tell(ctx context.Context, record protocol.Record) {
	if f.Reporter != nil {
		f.Reporter.Report(ctx, record)
	}
}
