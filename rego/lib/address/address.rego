# METADATA
# title: Address
# description: |
#   Whose an IP address is. Nothing is outside the cluster while its ranges are not
#   known, and what is no IP address is nobody's.
package lib.address

# METADATA
# description: |
#   A tenant may have traffic led to that address: it is one of its own pods', or lies
#   outside the cluster where its pods may reach that themselves. A Service would
#   otherwise lead round the firewall of the sender, which sees only the ClusterIP (S1).
safe(text) if own(text)

safe(text) if {
	input.tenant.external
	outside(text)
}

# METADATA
# description: |
#   The address lies in the ranges of the tenant's own pods. Looking for it among single
#   ones, of which a tenant with addressing identity has a thousand, is fast.
own(text) if {
	some bits in ["/32", "/128"]
	concat("", [text, bits]) in input.tenant.cidrs
}

own(text) if {
	valid(text)
	some cidr in input.tenant.cidrs
	net.cidr_contains(cidr, text)
}

# METADATA
# description: The address is neither the cluster's nor a cloud's metadata service.
outside(text) if {
	_known
	valid(text)
	not _inside(text)
	not _special(text)
}

# METADATA
# description: What is said of an address that is not safe.
whose(text) := "which is no IP address" if {
	not valid(text)
} else := "which is the cluster's or another tenant's" if {
	_inside(text)
} else := "which is not the tenant's to reach"

# METADATA
# description: |
#   The text is an IP address: net.cidr_contains, an error for what is none, takes ranges
#   too.
valid(text) if {
	some bits in ["/32", "/128"]
	net.cidr_is_valid(concat("", [text, bits]))
}

# The ranges of all tenants, or of all pods, Services and nodes, among which tenants
# with addressing identity are found.
_known if count(input.cluster.tenantCIDRs) > 0

_known if {
	every ranges in ["podCIDRs", "serviceCIDRs", "nodeCIDRs"] {
		count(input.cluster[ranges]) > 0
	}
}

_inside(text) if {
	some cidr in array.flatten([
		input.cluster.podCIDRs,
		input.cluster.serviceCIDRs,
		input.cluster.nodeCIDRs,
		input.cluster.tenantCIDRs,
	])
	net.cidr_contains(cidr, text)
}

_special(text) if {
	some cidr in special
	net.cidr_contains(cidr, text)
}

# METADATA
# description: |
#   Loopback, link-local, multicast and unspecified addresses, and those of the clouds'
#   metadata services (P13) as the firewall has them.
special := [
	"0.0.0.0/8",
	"100.100.100.200/32",
	"127.0.0.0/8",
	"168.63.129.16/32",
	"169.254.0.0/16",
	"224.0.0.0/3",
	"::/127",
	"fd00:ec2::23/128",
	"fd00:ec2::254/128",
	"fd20:ce::254/128",
	"fe80::/10",
	"ff00::/8",
]
