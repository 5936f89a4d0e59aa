package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	bulkheadv1alpha1 "github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// APIVersion and Kind head every configuration file.
const (
	APIVersion = "config.bulkhead.dev/v1alpha1"
	Kind       = "BulkheadConfiguration"
)

// BulkheadConfiguration holds the cluster-wide settings.
type BulkheadConfiguration struct {
	metav1.TypeMeta `json:",inline"`

	// Exempt names what is admitted unseen.
	Exempt Exempt `json:"exempt,omitempty"`
	// Administrators may change Tenants. Empty: whoever RBAC lets.
	Administrators Subjects `json:"administrators,omitempty"`
	// Unassigned is what happens in namespaces without a tenant. Default: warn.
	Unassigned UnassignedMode `json:"unassigned,omitempty"`
	// PodSecurity holds for unassigned namespaces, and for what a Tenant leaves
	// out. Default: enforce baseline, warn and audit restricted, all latest.
	PodSecurity PodSecurity `json:"podSecurity,omitempty"`
	// WorkloadTemplates is what happens to the pod templates of workloads that
	// violate what their pods will be held to. Default: warn.
	WorkloadTemplates WorkloadTemplates `json:"workloadTemplates,omitempty"`
	// Cluster holds the cluster's address ranges.
	Cluster Cluster `json:"cluster,omitempty"`
	// Shared are namespaces, or services as namespace/service, that every tenant
	// with addressing identity may talk to, both ways. Default, where it is left
	// out: kube-system/kube-dns and default/kubernetes.
	Shared []string `json:"shared,omitempty"`
	// Identity holds the settings of addressing identity.
	Identity Identity `json:"identity,omitempty"`
	// Sidecar describes the injected containers.
	Sidecar Sidecar `json:"sidecar"`
}

// Exempt names what is admitted unseen: all of a namespace, all that a user
// asks, all pods of a runtime class.
type Exempt struct {
	Namespaces     []string `json:"namespaces,omitempty"`
	Users          []string `json:"users,omitempty"`
	RuntimeClasses []string `json:"runtimeClasses,omitempty"`
}

// Subjects are users and groups as the API server authenticates them.
type Subjects struct {
	Groups []string `json:"groups,omitempty"`
	Users  []string `json:"users,omitempty"`
}

// UnassignedMode is what happens in namespaces without a tenant.
type UnassignedMode string

// The modes. None of them injects a firewall: without a tenant there are no
// peers.
const (
	// UnassignedWarn tells of violations and admits.
	UnassignedWarn UnassignedMode = "warn"
	// UnassignedEnforce refuses violations.
	UnassignedEnforce UnassignedMode = "enforce"
	// UnassignedIgnore admits unseen.
	UnassignedIgnore UnassignedMode = "ignore"
)

// PodSecurity adds to the levels where else they may come from.
type PodSecurity struct {
	bulkheadv1alpha1.PodSecurity `json:",inline"`

	// NamespaceLabels says what becomes of the labels
	// pod-security.kubernetes.io/{enforce,warn,audit}[-version]. Default: ignore.
	NamespaceLabels NamespaceLabels `json:"namespaceLabels,omitempty"`
}

// NamespaceLabels says what becomes of a namespace's Pod Security labels.
type NamespaceLabels string

const (
	// NamespaceLabelsIgnore leaves them to Kubernetes' own PodSecurity plugin.
	NamespaceLabelsIgnore NamespaceLabels = "ignore"
	// NamespaceLabelsHonour puts Bulkhead in that plugin's place: the stricter of
	// a namespace's labels and its Tenant (or the configuration) counts.
	NamespaceLabelsHonour NamespaceLabels = "honour"
)

// WorkloadTemplates says what happens to pod templates that violate a rule.
type WorkloadTemplates string

const (
	// WorkloadTemplatesIgnore judges pods alone.
	WorkloadTemplatesIgnore WorkloadTemplates = "ignore"
	// WorkloadTemplatesWarn tells whoever writes the workload.
	WorkloadTemplatesWarn WorkloadTemplates = "warn"
	// WorkloadTemplatesEnforce refuses the workload where its pods would be.
	WorkloadTemplatesEnforce WorkloadTemplates = "enforce"
)

// Identity holds the settings of addressing identity.
type Identity struct {
	// Lease is how long a sidecar believes in its peers without a word from the
	// webhook. Default: 15s.
	Lease metav1.Duration `json:"lease,omitempty"`
	// WhenFeedGone is what becomes of established connections between peers, and of
	// those with the outside, when the lease is over. Default: keep.
	WhenFeedGone WhenFeedGone `json:"whenFeedGone,omitempty"`
}

// WhenFeedGone is what a firewall does when its lease is over.
type WhenFeedGone string

const (
	// WhenFeedGoneKeep lets established TCP connections between peers go on;
	// nobody new is admitted.
	WhenFeedGoneKeep WhenFeedGone = "keep"
	// WhenFeedGoneClose drops all traffic to and from peers.
	WhenFeedGoneClose WhenFeedGone = "close"
)

// Cluster holds the cluster's address ranges as CIDRs in canonical form. In
// addressing identity a kind of range that is left out is read from the cluster:
// Nodes' podCIDRs and addresses, ServiceCIDRs.
type Cluster struct {
	PodCIDRs     []string `json:"podCIDRs,omitempty"`
	ServiceCIDRs []string `json:"serviceCIDRs,omitempty"`
	// NodeCIDRs holds node addresses; all of them as soon as there is a Tenant
	// with addressing cidr. Addressing identity adds those of the Nodes.
	NodeCIDRs []string `json:"nodeCIDRs,omitempty"`
	// TenantCIDRs holds all ranges that tenants with addressing cidr get, now
	// and later: firewalls drop all of it but their own tenant's ranges.
	TenantCIDRs []string `json:"tenantCIDRs,omitempty"`
}

// Sidecar describes the injected containers.
type Sidecar struct {
	// Image is the sidecar's image reference; a digest is advised (threat L13).
	Image string `json:"image"`
	// ImagePullPolicy: default IfNotPresent.
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy,omitempty"`
	// Resources of each of the two containers. What is left out of cpu, memory
	// and ephemeral-storage gets a default, so that a LimitRange has nothing to
	// add (threat L15).
	Resources corev1.ResourceRequirements `json:"resources,omitempty"`
}
