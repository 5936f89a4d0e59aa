// Package verify is behind `bulkhead verify`.
package verify

import (
	_ "k8s.io/client-go/dynamic"
	_ "k8s.io/client-go/tools/remotecommand"
)
