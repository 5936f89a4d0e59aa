//go:build linux

package apply

import (
	"context"
	"errors"
	"testing"

	"github.com/bulkhead-dev/bulkhead/sidecar/nftables"
)

// TestShutterBeforeTheGuard holds the order: shut before the guard is asked for, whoever
// asks for it, and open after all else.
func TestShutterBeforeTheGuard(t *testing.T) {
	backends(t, func(t *testing.T, backend Backend) {
		k, plan := newKernel(backend), plan(t)
		shuts := 0
		k.shutter.shuts = func() {
			shuts++
			if k.guarded() {
				t.Error("shut when the guard stood already")
			}
		}
		k.shutter.opens = func() {
			if k.guarded() || !k.inOrder(plan) {
				t.Error("opened before all was in order")
			}
		}
		if _, err := k.Ensure(context.Background(), plan); err != nil || shuts != 1 {
			t.Errorf("shut %d times to bring the rules in, %v", shuts, err)
		}
		k.holds(t, plan)
		k.tampered()
		if k.Alert(); k.nft != nil && (shuts != 2 || !k.shutter.shut || !k.guarded()) {
			t.Errorf("alerted: shut %d times, still shut: %v, guarded: %v", shuts, k.shutter.shut, k.guarded())
		}
		if _, err := k.Ensure(context.Background(), plan); err != nil {
			t.Fatal(err)
		}
		k.holds(t, plan)
		if err := k.Guard(context.Background()); err != nil || !k.shutter.shut || !k.guarded() {
			t.Errorf("still shut: %v, guarded: %v, %v", k.shutter.shut, k.guarded(), err)
		}
	})
}

// TestFlushedDuringRepair holds that who flushes the ruleset, guard and all, while it is
// repaired opens nothing.
func TestFlushedDuringRepair(t *testing.T) {
	k, plan := newKernel(NFTables), plan(t)
	if _, err := k.Ensure(context.Background(), plan); err != nil {
		t.Fatal(err)
	}
	k.v4.chains["INPUT"] = nil
	k.tampered()
	k.Alert()
	flushes := 0
	k.nft.lifts = func() { // the moment before the guard would be lifted
		if flushes++; flushes > 3 {
			return
		}
		k.v4.flush("ACCEPT")
		k.v6.flush("ACCEPT")
		k.nft.guard = nftables.GuardAbsent
		k.tampered()
		if !k.closed() {
			t.Error("open during the repair")
		}
	}
	for range 3 {
		if _, err := k.Ensure(context.Background(), plan); err == nil || !k.closed() {
			t.Errorf("closed: %v, %v", k.closed(), err)
		}
	}
	if _, err := k.Ensure(context.Background(), plan); err != nil {
		t.Fatal(err)
	}
	k.holds(t, plan)
}

// TestShutterStaysShutWithoutGuard holds that nothing opens while the guard cannot be
// set, that the next look which finds all in order does, and one that repairs as well.
func TestShutterStaysShutWithoutGuard(t *testing.T) {
	for name, flushed := range map[string]bool{"nothing of ours": false, "flushed": true} {
		t.Run(name, func(t *testing.T) {
			k, plan := newKernel(NFTables), plan(t)
			if _, err := k.Ensure(context.Background(), plan); err != nil {
				t.Fatal(err)
			}
			if flushed {
				k.v6.chains["INPUT"] = nil
			}
			k.tampered()
			k.failAt = k.written + 2 // the guard
			if k.Alert(); k.guarded() || !k.shutter.shut {
				t.Fatalf("guarded: %v, shut: %v", k.guarded(), k.shutter.shut)
			}
			found, err := k.Ensure(context.Background(), plan)
			if err != nil || (len(found.Differences) > 0) != flushed {
				t.Errorf("reported %v, %v", found, err)
			}
			k.holds(t, plan)
		})
	}
}

// TestShutterLeftShut holds that a sidecar opens what one before it, killed behind the
// shutter, left shut: but only when all is proven.
func TestShutterLeftShut(t *testing.T) {
	backends(t, func(t *testing.T, backend Backend) {
		k, plan := newKernel(backend), plan(t)
		if _, err := k.Ensure(context.Background(), plan); err != nil {
			t.Fatal(err)
		}
		k.inForce, k.members, k.shutter.shut = nil, nil, true
		k.sets.unread = errors.New("no answer")
		if _, err := k.Ensure(context.Background(), plan); err == nil || !k.closed() {
			t.Errorf("closed: %v, %v", k.closed(), err)
		}
		k.sets.unread = nil
		if _, err := k.Ensure(context.Background(), plan); err != nil {
			t.Error(err)
		}
		k.holds(t, plan)
		k.inForce, k.members, k.shutter.shut = nil, nil, true
		before := k.written
		if _, err := k.Ensure(context.Background(), plan); err != nil || k.written != before+1 {
			t.Errorf("%d writes to open what is whole, %v", k.written-before, err)
		}
		k.holds(t, plan)
	})
}

// TestShutterThatDoesNotOpen holds that it is an error, and tried again.
func TestShutterThatDoesNotOpen(t *testing.T) {
	k, plan := newKernel(NFTables), plan(t)
	if _, err := k.Ensure(context.Background(), plan); err != nil {
		t.Fatal(err)
	}
	k.inForce, k.members, k.shutter.shut = nil, nil, true
	k.failAt = k.written + 1
	if _, err := k.Ensure(context.Background(), plan); err == nil || !k.closed() {
		t.Errorf("closed: %v, %v", k.closed(), err)
	}
	if _, err := k.Ensure(context.Background(), plan); err != nil || k.nft.guard == nftables.GuardStanding {
		t.Errorf("guard %v, %v", k.nft.guard, err)
	}
	k.holds(t, plan)
}
