package tenants

import (
	"crypto/sha512"
	"encoding/json"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// Digest tells tenants apart by all that can matter to a decision: everything but the
// object's status and metadata other than its name. An error is a fault of ours.
func (t *Tenant) Digest() ([sha512.Size256]byte, error) {
	if t.memo == nil || t.memo.tenant != t { // a copy, which may have been changed
		return t.digest()
	}
	t.memo.once.Do(func() { t.memo.digest, t.memo.err = t.digest() })
	return t.memo.digest, t.memo.err
}

func (t *Tenant) digest() ([sha512.Size256]byte, error) {
	bare := *t
	bare.Tenant = &v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: t.Name}, Spec: t.Spec}
	encoded, err := json.Marshal(bare)
	return sha512.Sum512_256(encoded), err
}

// memo holds the digest of a tenant of an index, which nobody changes, once it was
// asked for.
type memo struct {
	tenant *Tenant
	once   sync.Once
	digest [sha512.Size256]byte
	err    error
}
