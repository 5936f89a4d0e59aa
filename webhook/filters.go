package webhook

import (
	"net/http"
	"runtime/debug"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/klog/v2"
)

// withPanicRecovery answers 500 to a request whose handler panics, which the API
// server takes as a failed call. Kubernetes' own filter of this name panics again
// after that, so that the answer may be lost.
func withPanicRecovery(handler http.Handler, metrics *Metrics) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			reason := recover()
			if reason == nil {
				return
			}
			if reason == http.ErrAbortHandler {
				panic(reason)
			}
			metrics.panics.Inc()
			klog.ErrorS(nil, "Handler panicked", "path", r.URL.Path, "panic", reason, "stack", string(debug.Stack()))
			http.Error(w, "internal error: see the log of bulkhead-webhook", http.StatusInternalServerError)
		}()
		handler.ServeHTTP(w, r)
	})
}

// withDeadlines ends a request whose client stalls, while it sends the body or
// takes the answer (threat A1).
func withDeadlines(handler http.Handler, timeout time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		deadline := time.Now().Add(timeout)
		controller := http.NewResponseController(w)
		if err := controller.SetReadDeadline(deadline); err != nil {
			klog.ErrorS(err, "Cannot bound the reading of a request")
		}
		// Room to tell a client that it was too slow.
		if err := controller.SetWriteDeadline(deadline.Add(timeout)); err != nil {
			klog.ErrorS(err, "Cannot bound the writing of an answer")
		}
		handler.ServeHTTP(w, r)
	})
}

// withClientCertificate lets only those pass whose client certificate is good.
func withClientCertificate(handler http.Handler, certificates authenticator.Request) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, ok, err := certificates.AuthenticateRequest(r)
		if err != nil || !ok {
			klog.InfoS("Request without an acceptable client certificate", "path", r.URL.Path, "remote", r.RemoteAddr, "reason", err)
			http.Error(w, "a client certificate that the webhook's --client-ca-file accepts is required", http.StatusUnauthorized)
			return
		}
		handler.ServeHTTP(w, r)
	})
}
