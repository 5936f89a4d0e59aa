# Runs once inside the node's fresh namespaces. Its environment:
#   RUN                    the run folder
#   NODE4 ROUTER4          the node's address and its router's, each with prefix length
#   OUTSIDE4 SERVICES4     the outside host's address, the range of ClusterIPs
#   NODE6 …                the same in IPv6, unset if the machine has none
#   SECOND                 set if pods have a second interface
set -eu

# Nothing mounted here is seen outside; within, mounts propagate, as the kubelet wants it for volumes.
mount --make-rprivate /
mount --make-rshared /
mount -t proc proc /proc

# What the components write outside their configured folders, whatever they are told (/var/lib/kubelet,
# /var/log/pods, /usr/libexec/kubernetes, /run/containerd, …), goes into file systems that end with the node.
for dir in /run /tmp /var/lib /var/log /usr/libexec; do
	mkdir -p "$dir"
	mount -t tmpfs -o mode=755 tmpfs "$dir"
done
chmod 1777 /tmp

# The kubelet sets these for the whole machine unless they have the values that it wants (cm.setupKernelTunables).
# Let it read them so; the machine's own stay as they are.
mkdir "$RUN/sysctl"
while read -r name value; do
	file=$RUN/sysctl/$(echo "$name" | tr / .)
	echo "$value" > "$file"
	mount --bind "$file" "/proc/sys/$name"
done <<-END
	vm/overcommit_memory 1
	vm/panic_on_oom 0
	kernel/panic 10
	kernel/panic_on_oops 1
	kernel/keys/root_maxkeys 1000000
	kernel/keys/root_maxbytes 25000000
END

hostname node

# The node's network card. Its wire ends at a router, behind which there is one host that stands for everything
# outside the cluster, and nothing else: router and host are one network namespace without any other interface.
ip netns add outside
outside() { nsenter --net=/run/netns/outside "$@"; }
ip link set lo up
ip link add eth0 type veth peer name wire netns outside
outside ip link set lo up
outside ip link set wire up
ip link set eth0 up

# Service addresses need some route before kube-proxy's rules see them. No duplicate address detection for IPv6: nobody
# to clash with, and it costs a second a pod.
connect() { # family node router outside services
	ip "$1" address add "$2" dev eth0 nodad
	outside ip "$1" address add "$3" dev wire nodad
	outside ip "$1" address add "$4" dev lo nodad
	ip "$1" route add default via "${3%/*}"
	ip "$1" route add "$5" dev eth0
}
echo 1 > /proc/sys/net/ipv4/ip_forward
# What passes between pods on one bridge meets kube-proxy's rules too.
for family in ip ip6; do
	file=/proc/sys/net/bridge/bridge-nf-call-${family}tables
	if [ -e "$file" ]; then echo 1 > "$file"; fi
done
outside sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward' # so that it says "unreachable" of whatever else it is sent
connect -4 "$NODE4" "$ROUTER4" "$OUTSIDE4" "$SERVICES4"
if [ -n "${NODE6-}" ]; then
	echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad
	echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
	connect -6 "$NODE6" "$ROUTER6" "$OUTSIDE6" "$SERVICES6"
fi
# Many network plugins switch the reverse path filter off on pods' links, or make it loose. Where it is strict it stops a
# forged IPv4 source by itself, and would hide whether a pod's own firewall does.
for interface in all default; do echo 0 > "/proc/sys/net/ipv4/conf/$interface/rp_filter"; done
# What is forwarded out of the cluster leaves with the node's address, as on most clusters.
nft -f - <<-END
	table inet testbed {
		chain postrouting {
			type nat hook postrouting priority srcnat + 10
			oifname eth0 fib saddr type != local masquerade
		}
	}
END

# The pods' second network: one segment, of which every pod gets an interface by macvlan of lan. Nobody is at its other
# end, but without one there would be no carrier.
if [ -n "${SECOND-}" ]; then
	ip link add lan type veth peer name lan-end
	ip link set lan up
	ip link set lan-end up
fi
