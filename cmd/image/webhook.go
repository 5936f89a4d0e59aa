package main

import (
	"context"
	"fmt"
)

// nonroot is the user and group that the webhook runs as; the number that
// distroless images use too.
const nonroot = 65532

// webhookLayout is the webhook's tree: the binary and a name for its user. No
// certificate authorities: it talks to the API server alone, whose CA comes
// with the ServiceAccount.
func webhookLayout(_ context.Context, binary string) (rootfs, error) {
	files := rootfs{}
	if err := files.copyFile("/bulkhead-webhook", 0o755, binary); err != nil {
		return nil, err
	}
	files.addFile("/etc/passwd", 0o644, fmt.Appendf(nil, "nonroot:x:%d:%d::/:/nonexistent\n", nonroot, nonroot))
	files.addFile("/etc/group", 0o644, fmt.Appendf(nil, "nonroot:x:%d:\n", nonroot))
	return files, nil
}
