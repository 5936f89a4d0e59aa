package main

import "context"

// tools are what the sidecar runs: iptables for both backends. The plain names are the
// nft backend, Bulkhead's default.
func tools() []tool {
	return []tool{
		{"xtables-nft-multi", "iptables", append(iptablesNames(""), iptablesNames("-nft")...)},
		{"xtables-legacy-multi", "iptables", iptablesNames("-legacy")},
	}
}

func iptablesNames(backend string) []string {
	var names []string
	for _, family := range []string{"iptables", "ip6tables"} {
		for _, action := range []string{"", "-restore", "-save"} {
			names = append(names, family+backend+action)
		}
	}
	return names
}

// extensions are the iptables modules that the sidecar's rules name by -m or -j, and
// "standard" for verdicts and jumps. iptables loads them from extensionDir when a
// rule names them; a test holds the list to the rules.
func extensions() []string {
	return []string{
		"libip6t_icmp6.so",
		"libipt_icmp.so",
		"libxt_NFLOG.so",
		"libxt_comment.so",
		"libxt_limit.so",
		"libxt_multiport.so",
		"libxt_set.so",
		"libxt_standard.so",
		"libxt_tcp.so",
		"libxt_udp.so",
	}
}

// firewallLayout is the sidecar's tree: the binary, the tools with their
// libraries and extensions, and no shell: whoever gets into it finds nothing to run
// but the firewall.
func firewallLayout(ctx context.Context, binary string) (rootfs, error) {
	files := rootfs{}
	if err := files.copyFile("/bulkhead-firewall", 0o755, binary); err != nil {
		return nil, err
	}
	return files, files.addTools(ctx, tools(), extensions())
}
