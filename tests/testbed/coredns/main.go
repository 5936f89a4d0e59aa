// Command coredns is CoreDNS with the few plugins that a cluster needs to find its Services, and none of the others:
// most of CoreDNS' own weight is the clients of clouds. It runs in pods, as the cluster's DNS.
package main

import (
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
)

func main() {
	coremain.Run()
}
