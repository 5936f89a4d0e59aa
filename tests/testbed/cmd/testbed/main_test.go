package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/cluster"
)

// TestToldAfterCtrlC: nothing of what was broken off, but what may be left.
func TestToldAfterCtrlC(t *testing.T) {
	broken := errors.New("wait for the API server to be ready: connection reset by peer")
	running, interrupt := context.WithCancel(t.Context())
	if got := told(running, broken); got != broken {
		t.Errorf("not interrupted: %v", got)
	}
	interrupt()
	if got := told(running, broken).Error(); got != "interrupted" {
		t.Errorf("interrupted: %s", got)
	}
	left := errors.Join(broken, fmt.Errorf("take the cluster down: %w", &cluster.StopError{Err: errors.New("umount: busy")}))
	if got := told(running, left).Error(); !strings.Contains(got, "make down") || !strings.Contains(got, "umount: busy") || strings.Contains(got, "reset") {
		t.Errorf("interrupted and not tidied up: %s", got)
	}
}
