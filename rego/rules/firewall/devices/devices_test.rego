package rules.firewall.devices_test

import data.lib.fixtures
import data.rules.firewall.devices

refused := [
	"rdma/hca_shared_devices_a", "rdma/hca", "vpc.amazonaws.com/efa", "intel.com/intel_sriov_dpdk", "intel.com/sriov_netdevice",
	"devices.kubevirt.io/vhost-vsock", "example.org/VFIO-pci", "mellanox.com/sriov_rdma", "openshift.io/sr-iov-net", "nvidia.com/roce0",
]

test_every_kind if {
	every list in ["limits", "requests"] {
		every name in refused {
			devices.violations == violations(list, name) with input as fixtures.every_kind({"resources": {list: {name: 1, "cpu": "1"}}})
		}
	}
}

test_limits_and_requests if {
	expected := violations("limits", "rdma/hca") | violations("requests", "rdma/hca")
	devices.violations == expected with input as fixtures.every_kind({"resources": {"limits": {"rdma/hca": "1"}, "requests": {"rdma/hca": "1"}}})
}

test_passes if {
	cases := [
		{},
		{"resources": {}},
		{"resources": {"limits": {"cpu": "1", "memory": "1Gi", "nvidia.com/gpu": 1, "hugepages-2Mi": "4Mi"}}},
		{"resources": {"requests": {"ephemeral-storage": "1Gi", "example.org/default": 1, "efab.io/x": 1}}},
		{"resources": {"limits": {"vfio": 1}}},
	]
	every case in cases {
		devices.violations == set() with input as fixtures.every_kind(case)
	}
}

violations(list, name) := fixtures.in_every_kind(
	sprintf("resources.%s[%q]", [list, name]),
	"asks for a device whose packets no firewall sees",
	"remove it, or run the pod in a namespace without a tenant",
)
