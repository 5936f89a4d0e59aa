package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Tenant owns a set of namespaces. Its pods may talk to each other and to
// shared services, and to no other tenant.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=ten,categories=bulkhead
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Namespaces",type=integer,JSONPath=`.status.namespaces`,description="Namespaces of the tenant that exist"
// +kubebuilder:printcolumn:name="Pods",type=integer,JSONPath=`.status.pods`,description="Pods in these namespaces that are not finished"
// +kubebuilder:printcolumn:name="Protected",type=integer,JSONPath=`.status.protectedPods`,description="Pods whose firewall is in place"
// +kubebuilder:printcolumn:name="Connected",type=integer,JSONPath=`.status.connectedPods`,description="Pods whose firewall hears of its peers, with addressing identity"
// +kubebuilder:printcolumn:name="Addressing",type=string,JSONPath=`.spec.addressing.mode`
// +kubebuilder:printcolumn:name="Enforcement",type=string,JSONPath=`.spec.enforcement`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Tenant struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec TenantSpec `json:"spec"`
	// +optional
	Status TenantStatus `json:"status,omitempty"`
}

// TenantList is a list of tenants.
//
// +kubebuilder:object:root=true
type TenantList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Tenant `json:"items"`
}

// TenantSpec is what an administrator says of a tenant.
type TenantSpec struct {
	// namespaces are the names of the tenant's namespaces. A namespace belongs
	// to one tenant at most; it need not exist yet.
	//
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespaces []string `json:"namespaces"`

	// podSecurity is the level of the Pod Security Standards that the tenant's
	// pods must meet. What is left out comes from the configuration. There is
	// no level privileged here: a privileged pod can undo every firewall on its
	// node, its own and other tenants'.
	//
	// +optional
	PodSecurity PodSecurity `json:"podSecurity,omitempty"`

	// addressing says where the addresses that the tenant's pods may talk to
	// come from.
	//
	// +optional
	// +kubebuilder:default={mode: identity}
	Addressing Addressing `json:"addressing,omitempty"`

	// shared are namespaces, or services as namespace/service, outside the
	// tenant that it may talk to, both ways. What every tenant shares stands in
	// the configuration.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=127
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(/[a-z0-9]([-a-z0-9]*[a-z0-9])?)?$`
	Shared []string `json:"shared,omitempty"`

	// public are Services of the tenant, as namespace/service, whose backends
	// everyone may reach on the ports that the Service names, and whose
	// load-balancer and external addresses the other tenants may reach. Counts
	// in addressing identity.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=127
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?/[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Public []string `json:"public,omitempty"`

	// networks are the secondary networks that the tenant's pods may attach to
	// by annotation, as namespace/name of a NetworkAttachmentDefinition. Without
	// them a pod may attach to none: the firewall guards every interface, but a
	// network of its own may lead past the addresses that it knows.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=317
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?/[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Networks []string `json:"networks,omitempty"`

	// egress says what the tenant's pods may reach beside their peers.
	//
	// +optional
	// +kubebuilder:default={}
	Egress Egress `json:"egress,omitempty"`

	// enforcement: enforce injects the firewall and refuses what could undo it;
	// warn and audit change and refuse nothing, and tell what enforce would
	// have done, warn to the user and audit to the audit log.
	//
	// +optional
	// +kubebuilder:default=enforce
	Enforcement Enforcement `json:"enforcement,omitempty"`
}

// Enforcement is what is done about a violation.
//
// +kubebuilder:validation:Enum=enforce;warn;audit
type Enforcement string

// The enforcements.
const (
	Enforce Enforcement = "enforce"
	Warn    Enforcement = "warn"
	Audit   Enforcement = "audit"
)

// Level is a level of the Pod Security Standards.
type Level string

// The levels, from loose to strict.
const (
	Privileged Level = "privileged"
	Baseline   Level = "baseline"
	Restricted Level = "restricted"
)

// VersionLatest is the newest version of the Pod Security Standards that this
// release knows. A version is VersionLatest or that of a minor release, such as
// v1.25; one that is newer than this release counts as VersionLatest.
const VersionLatest = "latest"

// PodSecurity names levels of the Pod Security Standards and their versions.
type PodSecurity struct {
	// enforce is the level below which a pod is refused.
	//
	// +optional
	// +kubebuilder:validation:Enum=baseline;restricted
	Enforce Level `json:"enforce,omitempty"`
	// enforceVersion is latest or v1.N.
	//
	// +optional
	// +kubebuilder:validation:Pattern=`^(latest|v1\.(0|[1-9][0-9]*))$`
	EnforceVersion string `json:"enforceVersion,omitempty"`
	// warn is the level below which the user is warned; privileged: never.
	//
	// +optional
	// +kubebuilder:validation:Enum=privileged;baseline;restricted
	Warn Level `json:"warn,omitempty"`
	// warnVersion is latest or v1.N.
	//
	// +optional
	// +kubebuilder:validation:Pattern=`^(latest|v1\.(0|[1-9][0-9]*))$`
	WarnVersion string `json:"warnVersion,omitempty"`
	// audit is the level below which a pod is noted in the API server's audit
	// log; privileged: never.
	//
	// +optional
	// +kubebuilder:validation:Enum=privileged;baseline;restricted
	Audit Level `json:"audit,omitempty"`
	// auditVersion is latest or v1.N.
	//
	// +optional
	// +kubebuilder:validation:Pattern=`^(latest|v1\.(0|[1-9][0-9]*))$`
	AuditVersion string `json:"auditVersion,omitempty"`
}

// Addressing says where a tenant's peer set comes from.
//
// +kubebuilder:validation:XValidation:rule="self.mode == 'cidr' ? has(self.cidrs) && size(self.cidrs) > 0 : !has(self.cidrs)",message="cidrs are required with mode cidr, and mean nothing without"
type Addressing struct {
	// mode identity: the addresses of the pods and Services that exist, by a
	// stream from the webhook; needs no address plan. mode cidr: fixed ranges,
	// as an IPAM that keeps to them gives to the tenant's pods.
	//
	// +optional
	// +kubebuilder:default=identity
	// +kubebuilder:validation:Enum=identity;cidr
	Mode AddressingMode `json:"mode,omitempty"`
	// cidrs are the tenant's ranges in canonical form, IPv4 and IPv6. They lie
	// inside the configuration's cluster.tenantCIDRs and overlap no other
	// tenant's. With mode cidr only.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=43
	// +kubebuilder:validation:XValidation:rule="self.all(c, isCIDR(c) && cidr(c) == cidr(c).masked())",message="each must be a CIDR in canonical form, such as 172.16.1.0/24 or fd00:1::/64"
	CIDRs []string `json:"cidrs,omitempty"`
}

// AddressingMode names a source of the peer set.
type AddressingMode string

// The addressings.
const (
	// AddressingIdentity is addressing by the pods and Services that exist.
	AddressingIdentity AddressingMode = "identity"
	// AddressingCIDR is addressing by fixed ranges.
	AddressingCIDR AddressingMode = "cidr"
)

// Action is what is done with traffic of one kind.
//
// +kubebuilder:validation:Enum=allow;deny
type Action string

// The actions.
const (
	Allow Action = "allow"
	Deny  Action = "deny"
)

// Egress says what pods may reach beside their peers.
type Egress struct {
	// metadata is the cloud's metadata service (169.254.169.254 and its IPv6
	// twins).
	//
	// +optional
	// +kubebuilder:default=deny
	Metadata Action `json:"metadata,omitempty"`
	// nodes are the node addresses, NodePorts among them. allow means TCP that
	// the pod opens.
	//
	// +optional
	// +kubebuilder:default=deny
	Nodes Action `json:"nodes,omitempty"`
	// external is everything outside the cluster.
	//
	// +optional
	// +kubebuilder:default=allow
	External Action `json:"external,omitempty"`
}

// TenantStatus is what the webhook's leader sees of a tenant.
type TenantStatus struct {
	// namespaces counts the namespaces of the tenant that exist.
	//
	// +optional
	Namespaces int32 `json:"namespaces"`
	// pods counts the pods in them that are not finished.
	//
	// +optional
	Pods int32 `json:"pods"`
	// protectedPods counts the pods whose firewall was built and is watched.
	//
	// +optional
	ProtectedPods int32 `json:"protectedPods"`
	// connectedPods counts the pods whose firewall hears of its peers from the
	// webhook. With addressing identity only; left out while it is not known.
	//
	// +optional
	ConnectedPods *int32 `json:"connectedPods,omitempty"`
	// conditions: Ready, with the reason Admitting, or false with a reason when
	// the tenant's pods cannot be admitted (Conflict, InvalidAddressing,
	// InvalidSpec, UnknownClusterRanges, NoFeed).
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ConditionReady is true when the tenant's pods can be admitted.
const ConditionReady = "Ready"
