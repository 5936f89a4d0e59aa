package feed

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/klog/v2"

	"github.com/bulkhead-dev/bulkhead/feed/peers"
	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

const (
	// maxToken bounds a token. The API server's are about 1 KiB.
	maxToken = 8 << 10
	// goodFor is how long a good token is believed without asking again, unless it
	// expires sooner: so long a pod that is gone can still be spoken for.
	goodFor = time.Minute
	// badFor is how long a token that is not good is refused without asking.
	badFor = 10 * time.Second
	// maxGood and maxBad bound the tokens that are remembered. They are apart, so
	// that a flood of bad ones pushes no good one out.
	maxGood = 16384
	maxBad  = 4096
	// reviewRate, a second, and reviewBurst bound what one address may have the API
	// server asked, maxReviews what is asked at a time.
	reviewRate  = 5
	reviewBurst = 50
	maxReviews  = 32
	// maxWaiting bounds those who wait until they may ask, turnTimeout how long: all
	// sidecars of a replica that is gone come at once, and each that is sent away comes
	// again, with another TLS handshake. A connection that waits holds about 50 KiB.
	maxWaiting  = 2048
	turnTimeout = 6 * time.Second
	// reviewTimeout bounds one question. A sidecar waits 10 s for its answer in all.
	reviewTimeout = 4 * time.Second
)

// TokenReviewer is what is needed of the API server: client-go's
// AuthenticationV1().TokenReviews().
type TokenReviewer interface {
	Create(ctx context.Context, review *authenticationv1.TokenReview, options metav1.CreateOptions) (*authenticationv1.TokenReview, error)
}

// Pod is the pod that a token is bound to.
type Pod struct {
	Namespace, Name, UID string
	// Expires is the end of the token's life; zero: it does not say.
	Expires time.Time
}

func (p *Pod) ref() peers.PodRef {
	return peers.PodRef{Namespace: p.Namespace, Name: p.Name, UID: p.UID}
}

// refusal is the answer to a request that does not pass.
type refusal struct {
	code int
	text string
}

func unauthorized(text string) *refusal { return &refusal{http.StatusUnauthorized, text} }

// digest stands for a token: tokens themselves are not kept.
type digest [sha256.Size]byte

type authenticator struct {
	tokens    TokenReviewer
	metrics   *Metrics
	good, bad *cache.LRUExpireCache // by digest: *Pod, *refusal
	clients   *rates
	turns     *turns
	whose     func(address string) string
}

// newAuthenticator makes one. Who waits to have the API server asked has its turn with
// those whose name is the same.
func newAuthenticator(tokens TokenReviewer, metrics *Metrics, whose func(address string) string) *authenticator {
	return &authenticator{
		tokens:  tokens,
		metrics: metrics,
		good:    cache.NewLRUExpireCache(maxGood),
		bad:     cache.NewLRUExpireCache(maxBad),
		clients: newRates(reviewRate, reviewBurst),
		turns:   newTurns(maxReviews, maxWaiting),
		whose:   whose,
	}
}

// authenticate returns the pod whose token the request bears.
func (a *authenticator) authenticate(r *http.Request) (*Pod, *refusal) {
	token, refused := bearer(r)
	if refused != nil {
		return nil, refused
	}
	key := digest(sha256.Sum256([]byte(token)))
	if pod, ok := a.good.Get(key); ok {
		return pod.(*Pod), nil
	}
	if refused, ok := a.bad.Get(key); ok {
		return nil, refused.(*refusal)
	}
	status, refused := a.review(r, token, protocol.Audience)
	if refused != nil {
		return nil, refused
	}
	pod, refused := podOf(status)
	if refused != nil {
		a.metrics.reviewed("refused")
		a.bad.Add(key, refused, badFor)
		return nil, refused
	}
	a.metrics.reviewed("good")
	pod.Expires = expiry(token)
	if life := min(goodFor, time.Until(pod.Expires)); life > 0 {
		a.good.Add(key, pod, life)
	}
	return pod, nil
}

func bearer(r *http.Request) (string, *refusal) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || token == "" || len(token) > maxToken {
		return "", unauthorized("a bearer token is required")
	}
	return token, nil
}

// review asks the API server about a token that came with the request. Without
// audiences it is asked about tokens for itself.
func (a *authenticator) review(r *http.Request, token string, audiences ...string) (*authenticationv1.TokenReviewStatus, *refusal) {
	client := clientOf(r)
	if !a.clients.allow(client) {
		return nil, &refusal{http.StatusTooManyRequests, "too many unknown tokens from this address"}
	}
	waiting, cancel := context.WithTimeout(r.Context(), turnTimeout)
	defer cancel()
	if err := a.turns.begin(waiting, a.whose(client)); err != nil {
		return nil, &refusal{http.StatusTooManyRequests, "too many tokens are being checked"}
	}
	defer a.turns.end()
	status, err := a.ask(r.Context(), token, audiences)
	if err != nil {
		a.metrics.reviewed("error")
		klog.ErrorS(err, "Cannot review a token")
		return nil, &refusal{http.StatusServiceUnavailable, "the token cannot be checked now"}
	}
	return status, nil
}

func (a *authenticator) ask(ctx context.Context, token string, audiences []string) (*authenticationv1.TokenReviewStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, reviewTimeout)
	defer cancel()
	review, err := a.tokens.Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: audiences},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("create TokenReview: %w", err)
	}
	return &review.Status, nil
}

// podOf reads the pod that the API server vouches for. An authenticator without
// audiences leaves them empty, and knows nothing of ours.
func podOf(status *authenticationv1.TokenReviewStatus) (*Pod, *refusal) {
	if !status.Authenticated || !slices.Contains(status.Audiences, protocol.Audience) {
		return nil, unauthorized("the token is not good for " + protocol.Audience)
	}
	namespace, _, err := serviceaccount.SplitUsername(status.User.Username)
	if err != nil {
		return nil, unauthorized("the token is no service account's")
	}
	name, uid := status.User.Extra[serviceaccount.PodNameKey], status.User.Extra[serviceaccount.PodUIDKey]
	if len(name) != 1 || len(uid) != 1 || name[0] == "" || uid[0] == "" {
		return nil, unauthorized("the token is not bound to a pod")
	}
	return &Pod{Namespace: namespace, Name: name[0], UID: uid[0]}, nil
}

// expiry is the end of life of a token that the API server has called good, and the
// zero time if the token does not say: then it is not remembered.
func expiry(token string) time.Time {
	_, rest, _ := strings.Cut(token, ".")
	payload, _, _ := strings.Cut(rest, ".")
	decoded, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return time.Time{}
	}
	var claims struct {
		Expiry int64 `json:"exp"`
	}
	if err := json.Unmarshal(decoded, &claims); err != nil {
		return time.Time{}
	}
	return time.Unix(claims.Expiry, 0)
}
