// Package protocol is what a sidecar and the webhook's feed server say to each
// other, and the bounds of it. It imports only the standard library: the sidecar is
// small.
//
// A sidecar POSTs a Report as JSON to ReportPath, over TLS (HTTP/1.0 or 1.1),
// with its pod-bound ServiceAccount token of the audience Audience as bearer. Answers:
//
//	204  taken
//	400  not understood: saying it again does not help
//	401  the token is not good (any longer)
//	403  the token is good, but the pod belongs to no tenant
//	429  too much, or 503 too busy: Retry-After says when to come again
//
// A report whose answer is lost is sent again, so what it tells may be counted
// twice.
//
// With addressing identity a sidecar also holds a stream, by which it hears who its
// peers are. It asks for it by HTTP/1.1:
//
//	GET /v1/peers HTTP/1.1
//	Connection: Upgrade
//	Upgrade: bulkhead-peers/1
//	Authorization: Bearer TOKEN
//
// The server answers with 101, or as it does a report, and both then send lines of
// JSON: the sidecar a Hello and Acks (ToServer), the server a Snapshot, Deltas and
// heartbeats (ToSidecar). Who reads something that is not understood, or not within
// the bounds, closes the connection and forgets that line.
//
// All that a report says is the tenant's word, for a tenant can make tokens
// for its own pods; whose word it is, is the token's and never the report's.
package protocol

import "time"

const (
	// ReportPath takes Reports.
	ReportPath = "/v1/report"
	// Audience is the audience of the tokens.
	Audience = "bulkhead-feed"
	// TokenFile is where the sidecar's container has its token. The kubelet
	// replaces it before it expires, so it is read anew for every request.
	TokenFile = "/run/bulkhead/token"
)

// The bounds of a report.
const (
	// MaxBytes of a whole report, as JSON.
	MaxBytes = 64 << 10
	// MaxRecords of one report.
	MaxRecords = 16
	// MaxDetail is the length of a detail in bytes.
	MaxDetail = 512
	// MaxDuration of a repair: it bounds what one report adds to a histogram.
	MaxDuration = time.Hour
	// MaxLapse is the longest time that the stream is said to have been away.
	MaxLapse = 365 * 24 * time.Hour
	// MaxCount of packets or bytes in one record: 2⁵³, up to which a float64, as
	// metrics are, counts every one.
	MaxCount = 1 << 53
)

// Report is what happened since the last one, oldest first.
type Report struct {
	Records []Record `json:"records"`
	// Lost is how many records had to be thrown away since the last report: the
	// sidecar keeps few.
	Lost uint64 `json:"lost,omitempty"`
}

// Record is one thing that happened: exactly one field is set.
type Record struct {
	Tampering *Tampering `json:"tampering,omitempty"`
	Failure   *Failure   `json:"failure,omitempty"`
	Drops     *Drops     `json:"drops,omitempty"`
	Lapse     *Lapse     `json:"lapse,omitempty"`
}

// Tampering is a change of the firewall by somebody else, found and repaired.
type Tampering struct {
	Time time.Time     `json:"time"`
	Kind TamperingKind `json:"kind"`
	// Detail is for people: what differed.
	Detail string `json:"detail,omitempty"`
	// Guarded is the time from noticing to the guard, from which on forbidden
	// packets were dropped again; zero where no guard was needed. Whole is the
	// time until the rules were as they should be.
	Guarded time.Duration `json:"guardedNanoseconds,omitempty"`
	Whole   time.Duration `json:"wholeNanoseconds"`
}

// TamperingKind is the first thing that differed, as a metric's label.
type TamperingKind string

// The kinds of tampering.
const (
	TamperedTable  TamperingKind = "table"  // the filter table is gone
	TamperedChain  TamperingKind = "chain"  // a chain of Bulkhead's is gone or was emptied
	TamperedRule   TamperingKind = "rule"   // a rule of Bulkhead's differs
	TamperedJump   TamperingKind = "jump"   // the jump at position 1 is gone, or something stands before it
	TamperedPolicy TamperingKind = "policy" // a built-in chain's policy
	TamperedSet    TamperingKind = "set"    // a set is gone or has other members
	TamperedGuard  TamperingKind = "guard"  // the guard is gone or stands where it should not
	TamperedOther  TamperingKind = "other"
)

// TamperingKinds are all of them.
func TamperingKinds() []TamperingKind {
	return []TamperingKind{
		TamperedTable, TamperedChain, TamperedRule, TamperedJump,
		TamperedPolicy, TamperedSet, TamperedGuard, TamperedOther,
	}
}

// Failure says that the rules could not be brought in or repaired. The guard
// stands meanwhile, and the pod has no network.
type Failure struct {
	Time time.Time `json:"time"`
	// Detail is for people: the error.
	Detail string `json:"detail"`
}

// Lapse says that the stream of peers was away for longer than its lease, and is back.
// Meanwhile nobody new was let in.
type Lapse struct {
	// Time is when the lease ended.
	Time     time.Time     `json:"time"`
	Duration time.Duration `json:"durationNanoseconds"`
}

// Drops are packets that the firewall dropped since the last report.
type Drops struct {
	Direction Direction `json:"direction"`
	// Reason is the threat's id, such as P3, or the setting of the configuration
	// that the rule follows, such as egress.external. See ValidReason.
	Reason  string `json:"reason"`
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes,omitempty"`
}

// Direction is the way of a packet, as seen from the pod.
type Direction string

// The directions.
const (
	In      Direction = "in"
	Out     Direction = "out"
	Forward Direction = "forward"
)

// Directions are all of them.
func Directions() []Direction { return []Direction{In, Out, Forward} }
