package verify

// checks lists what is played, in the order of the report: the experiments of the thesis that Bulkhead grew out of,
// by its numbers, then the ways round of docs/threat-model.md.
func checks() []check {
	return []check{
		{"security-1", []string{"P1"}, "connect from one tenant's pod to the other's", Blocked, byPackets, "", crossTenant, crossTenant},
		{"security-2", []string{"P1"}, "connect within a tenant", Reached, mustWork, "", sameTenant, sameTenant},
		{"security-3", []string{"S1"}, "connect to the other tenant's Service with two endpoints", Blocked, byPackets, "", crossService, crossService},
		{"security-4", []string{"S1"}, "connect within a tenant by its Service", Reached, mustWork, "", sameService, sameService},
		{"security-5", []string{"S2"}, "ask the cluster's DNS, and hosts outside", Reached, mustWork, "", outside, outside},
		{"security-6", []string{"D2", "L7"}, "the attacker flushes its own pod's firewall", Blocked, byBoth, "", attackerFlushes, attackerCannotFlush},
		{"security-7", []string{"L7"}, "the victim flushes its own firewall by mistake", Blocked, byBoth, "", victimFlushes, victimCannotFlush},
		{"security-8", []string{"D1", "D3"}, "a privileged pod enters the victim's network and flushes its firewall", Denied, byAdmission, "", entersPrivileged, privilegedIsDenied},

		{"P2", []string{"P2"}, "send past the firewall by a packet socket", Blocked, byBoth, "", framePasses, framesAreBlocked},
		{"P3", []string{"P3"}, "send under a trusted pod's IPv4 address", Blocked, byPackets, "", forgeIPv4, forgeIPv4},
		{"P4", []string{"P4"}, "send under a trusted pod's IPv6 address, without a capability", Blocked, byPackets, "", forgeIPv6, forgeIPv6},
		{"P5", []string{"P5"}, "go round by IPv6", Blocked, byPackets, "", crossIPv6, crossIPv6},
		{"P6", []string{"P6"}, "send VXLAN, Geneve, IPIP, 6in4 and GRE for a node to unpack", Blocked, byPackets, "", encapsulate, encapsulate},
		{"P7", []string{"P7"}, "let the pod's loopback be reached from outside (route_localnet)", Denied, byAdmission, "", dryRun(unsafeSysctl), deniedBy(unsafeSysctl, "pss-sysctls")},
		{"P8", []string{"P8"}, "keep a flow that was open before its peer was revoked", Blocked, byPackets, "", notHere(noRevocation), notHere(noRevocation)},
		{"P9", []string{"P9"}, "send UDP instead of TCP", Blocked, byPackets, "", crossUDP, crossUDP},
		{"P10", []string{"P10"}, "go round by a second network interface", Blocked, byPackets, "", secondInterface, secondInterface},
		{"P11", []string{"P11"}, "ask for a device that sends past the kernel", Denied, byAdmission, "", dryRun(rdmaDevice), deniedBy(rdmaDevice, "fw-devices")},
		{"P13", []string{"P13"}, "send to the cloud's metadata service", Blocked, byPackets, "", metadata, metadata},

		{"S1", []string{"S1"}, "send towards the other tenant's ClusterIP", Blocked, byPackets, limitClusterIP, towardsClusterIP, towardsClusterIP},
		{"S2", []string{"S2"}, "connect to the other tenant by its NodePort", Blocked, byPackets, "", nodePort, nodePort},
		{"S2-load-balancer", []string{"S2"}, "connect to the other tenant by its load balancer's address", Blocked, byPackets, "", loadBalancer, loadBalancer},
		{"S2-public", []string{"S2"}, "connect to a Service that the other tenant has made public", Reached, mustWork, "", publicService, publicService},
		{"S2-probe-ports", []string{"S2", "S4"}, "connect to a port that the victim's own probes name, masqueraded by a node", Denied, byAdmission, "", probePort, probePort},
		{"S3", []string{"S3"}, "put the other tenant's address behind an own Service", Blocked, byPackets, "", forgedEndpoints, forgedEndpoints},
		{"S4", []string{"S4"}, "put the other tenant's address behind an external address", Blocked, byPackets, "", externalAddress, externalAddress},

		{"S5", []string{"S5"}, "ask the network plugin for an address of one's choice", Denied, byAdmission, "", dryRun(chosenAddress), deniedBy(chosenAddress, "fw-network-annotations")},
		{"S7", []string{"S7"}, "reach a pod that has just become Ready, and be reached by it", Reached, mustWork, "", newPod, newPod},

		{"D2", []string{"D2"}, "the same as security-8 with three capabilities", Denied, byAdmission, "", entersWithCapabilities, capabilitiesAreDenied},
		{"D3", []string{"D3"}, "mount the node's files", Denied, byAdmission, "", dryRun(hostFiles), deniedBy(hostFiles, "pss-host-path")},
		{"D4", []string{"D4"}, "run in the node's network", Denied, byAdmission, "", dryRun(hostNetwork), deniedBy(hostNetwork, "pss-host-namespaces", "fw-host-network")},
		{"D5", []string{"D5"}, "share the firewall's process namespace", Denied, byAdmission, "", dryRun(sharedProcesses), deniedBy(sharedProcesses, "fw-share-process-namespace")},
		{"D6", []string{"D6"}, "run without a seccomp profile", Denied, byAdmission, "", dryRun(unconfined), deniedBy(unconfined, "pss-seccomp")},
		{"D7", []string{"D7"}, "flush by kubectl debug --profile=netadmin", Denied, byAdmission, "", debugFlushes, debugIsDenied},

		{"L1", []string{"L1"}, "connect from the first init container, before the firewall", Blocked, byPackets, "", firstInitContainer, firstInitContainer},
		{"L2", []string{"L2"}, "opt out of the sidecar by annotations and labels", Blocked, byAdmission, "", optOut, optOut},
		{"L3", []string{"L3"}, "bring a container of the sidecar's name", Denied, byAdmission, "", impostor, impostor},
		{"L4", []string{"L4"}, "replace the firewall's image in a running pod", Denied, byAdmission, "", replaceImage, imageIsKept},
		{"L5", []string{"L5"}, "exec into the firewall's container", Denied, byAdmission, "", execFlushes, execIsDenied},
		{"L6", []string{"L6"}, "kill the firewall's container", Blocked, byPackets, "", notHere(noKilling), notHere(noKilling)},
		{"L16", []string{"L16"}, "connect by the app's first instruction, while the firewall is built", Blocked, byPackets, "", firstInstruction, firstInstruction},
	}
}

const (
	noRevocation = "verify can revoke no peer of a running pod; TestEstablishedFlowsAreCut (tests/netns) plays it"
	noKilling    = "nobody can kill it from inside a tenant's pod, nor by the API; TestRulesOutliveTheSidecar (tests/netns) and the test bed, which own the node, play it"

	limitClusterIP = "with addressing cidr the sender's firewall cannot tell whose ClusterIP it is: the packet leaves the pod, and the receiver's firewall drops it (security-3)"
)
