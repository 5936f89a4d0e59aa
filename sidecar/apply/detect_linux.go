package apply

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// DetectBackend takes nftables wherever the kernel has it and legacy only where
// it does not: both would hold side by side, but only nftables reports changes.
// What others have set in the backend not taken can drop packets and not let any
// through, and is left alone.
func DetectBackend() (Backend, error) {
	// The question with which iptables-nft begins as well. The kernel loads
	// the module to answer.
	request := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_GETGEN, 0)
	request.AddData(&nl.Nfgenmsg{NfgenFamily: unix.AF_UNSPEC, Version: nl.NFNETLINK_V0})
	_, err := request.Execute(unix.NETLINK_NETFILTER, 0)
	switch {
	case err == nil:
		return NFTables, nil
	case errors.Is(err, unix.EPERM):
		return "", fmt.Errorf("ask the kernel for nftables (is NET_ADMIN granted?): %w", err)
	}
	return Legacy, nil
}
