package webhook

import (
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/rego"
	sidecarconfig "github.com/bulkhead-dev/bulkhead/sidecar/config"
)

// digest identifies what a decision follows from. Tenants choose most of that: the
// hash must be one of which nobody finds two alike.
type digest [sha512.Size256]byte

// keyOf is the digest of all that the decision on a new pod follows from, beside the
// rules and the configuration: the pod and the request as the rules see them, the terms
// of the namespace, and the feed, which may be nil.
func keyOf(in rego.Input, t terms, feed *sidecarconfig.Feed) (digest, error) {
	parts := make(record, 0, 1024)
	parts.add(string(t.enforcement), strconv.FormatBool(t.onlyWarn), t.note)
	for _, s := range []v1alpha1.Standard{t.standards.enforce, t.standards.warn, t.standards.audit} {
		parts.add(string(s.Level), s.Version)
	}
	if t.tenant == nil {
		parts.add("")
	} else if sum, err := t.tenant.Digest(); err != nil {
		return digest{}, fmt.Errorf("encode tenant %s: %w", t.tenant.Name, err)
	} else {
		parts.add(string(sum[:]))
	}
	if feed == nil {
		parts.add("")
	} else {
		parts.add("feed", feed.Address.String(), feed.ServerName, feed.CA)
	}
	r := in.Request
	parts.add(r.Operation, r.Resource, r.Subresource, r.Namespace, r.Name, r.User.Name, strconv.Itoa(len(r.User.Groups)))
	parts.add(r.User.Groups...)
	hash := sha512.New512_256()
	hash.Write(parts)
	hash.Write(in.Object) // the last part needs no length
	return digest(hash.Sum(nil)), nil
}

// record is texts one after another, each with its length: two lists of texts never
// make one record.
type record []byte

func (r *record) add(texts ...string) {
	for _, text := range texts {
		*r = append(binary.AppendUvarint(*r, uint64(len(text))), text...)
	}
}
