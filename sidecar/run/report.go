package run

import (
	"context"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

// Reporter takes what happened to where people see it. It must neither block nor
// fail the firewall: what it cannot take it drops and says so itself.
type Reporter interface {
	Report(ctx context.Context, record protocol.Record)
}
