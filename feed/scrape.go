package feed

import (
	"context"
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
)

// AccessReviewer is what is needed of the API server: client-go's
// AuthorizationV1().SubjectAccessReviews().
type AccessReviewer interface {
	Create(ctx context.Context, review *authorizationv1.SubjectAccessReview, options metav1.CreateOptions) (*authorizationv1.SubjectAccessReview, error)
}

// guarded serves what names tenants, as Kubernetes' own components serve their metrics:
// to bearers of an API server's token who may get this path. Tenants must not learn of
// each other, and every pod reaches this port. Prometheus comes twice a minute: nothing
// is remembered.
type guarded struct {
	path   string
	tokens *authenticator
	access AccessReviewer
	next   http.Handler
}

func (g *guarded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token, refused := bearer(r)
	if refused != nil {
		refuse(w, refused.code, refused.text)
		return
	}
	status, refused := g.tokens.review(r, token)
	if refused != nil {
		refuse(w, refused.code, refused.text)
		return
	}
	if !status.Authenticated {
		refuse(w, http.StatusUnauthorized, "the token is not good for the API server")
		return
	}
	review, err := g.access.Create(r.Context(), mayGet(g.path, status.User), metav1.CreateOptions{})
	if err != nil {
		klog.ErrorS(err, "Cannot review an access")
		refuse(w, http.StatusServiceUnavailable, "access cannot be checked now")
		return
	}
	if !review.Status.Allowed || review.Status.Denied {
		refuse(w, http.StatusForbidden, "get of the nonResourceURL "+g.path+" is not allowed")
		return
	}
	g.next.ServeHTTP(w, r)
}

func mayGet(path string, user authenticationv1.UserInfo) *authorizationv1.SubjectAccessReview {
	extra := map[string]authorizationv1.ExtraValue{}
	for key, value := range user.Extra {
		extra[key] = authorizationv1.ExtraValue(value)
	}
	return &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: path, Verb: "get"},
		User:                  user.Username, Groups: user.Groups, UID: user.UID, Extra: extra,
	}}
}
