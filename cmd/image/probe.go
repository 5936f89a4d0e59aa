package main

import "context"

// probeLayout is the tree of what `bulkhead verify` runs in its pods: the binary,
// and iptables of both backends, which its attacks flush. No shell here either.
func probeLayout(ctx context.Context, binary string) (rootfs, error) {
	files := rootfs{}
	if err := files.copyFile("/bulkhead-probe", 0o755, binary); err != nil {
		return nil, err
	}
	files.addDirectory("/run") // the legacy backend's lock
	return files, files.addTools(ctx, probeTools(), []string{"libxt_standard.so"})
}

// probeTools are what the attacks run.
func probeTools() []tool {
	return []tool{
		{"xtables-nft-multi", "iptables", append(iptablesNames(""), iptablesNames("-nft")...)},
		{"xtables-legacy-multi", "iptables", iptablesNames("-legacy")},
	}
}
