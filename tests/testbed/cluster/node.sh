# Runs once inside the node's fresh namespaces: node.sh RUNDIR NODE_IPV4/LEN SERVICES_IPV4 [NODE_IPV6/LEN SERVICES_IPV6]
set -eu
run=$1 node4=$2 services4=$3 node6=${4-} services6=${5-}

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
mkdir "$run/sysctl"
while read -r name value; do
	file=$run/sysctl/$(echo "$name" | tr / .)
	echo "$value" > "$file"
	mount --bind "$file" "/proc/sys/$name"
done <<-EOF
	vm/overcommit_memory 1
	vm/panic_on_oom 0
	kernel/panic 10
	kernel/panic_on_oops 1
	kernel/keys/root_maxkeys 1000000
	kernel/keys/root_maxbytes 25000000
EOF

hostname node

# Both ends of the node's "network card" are in here: it has an address and a carrier, and leads nowhere. There is no
# default route; service addresses need some route before kube-proxy's rules see them.
ip link set lo up
ip link add eth0 type veth peer name wire
ip link set wire up
ip link set eth0 up
ip address add "$node4" dev eth0
echo 1 > /proc/sys/net/ipv4/ip_forward
ip route add "$services4" dev eth0
if [ -n "$node6" ]; then
	# No duplicate address detection on pods' links: nobody to clash with, and it costs a second a pod.
	echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad
	echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
	ip address add "$node6" dev eth0 nodad
	ip route add "$services6" dev eth0
fi
