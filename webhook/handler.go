package webhook

import (
	"context"
	"fmt"
	"net/http"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/klog/v2"
)

// decideFunc is Mutate or Validate.
type decideFunc func(context.Context, *admissionv1.AdmissionRequest) decision

// reviewHandler turns the bytes that an intake received into a decision, and that
// into bytes.
type reviewHandler struct {
	name    string
	decide  decideFunc
	metrics *Metrics
	// log and events may be nil.
	log    *DecisionLog
	events EventRecorder
}

func (h *reviewHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	body, err := wholeBody(r.Body)
	if err != nil {
		refuse(http.StatusInternalServerError, "read body: %v", err).write(w, r, h.name, h.metrics)
		return
	}
	request, refusal := decodeReview(body)
	if refusal != nil {
		refusal.write(w, r, h.name, h.metrics)
		return
	}
	d := h.decide(r.Context(), request)
	if err := context.Cause(r.Context()); err != nil && d.allowed {
		d = failed(fmt.Errorf("the request's deadline has passed: %w", err))
	}
	h.tell(request, d, time.Since(start))
	if err := d.write(w, request.UID); err != nil {
		klog.ErrorS(err, "Cannot answer a review", "path", r.URL.Path, "uid", request.UID)
	}
}

// tell tells everybody but the caller.
func (h *reviewHandler) tell(request *admissionv1.AdmissionRequest, d decision, duration time.Duration) {
	h.metrics.observe(h.name, request, d, duration)
	logDecision(h.name, request, d)
	if h.log != nil {
		if err := h.log.write(h.name, request, d, duration); err != nil {
			h.metrics.unlogged.Inc()
			klog.ErrorS(err, "Decision is not in the decision log", "uid", request.UID)
		}
	}
	if h.events != nil {
		recordDenial(h.events, request, d)
	}
}

// logDecision tells of denials always, and of the rest at verbosity 4. Names that
// were generated stay out of messages, but help in a log.
func logDecision(name string, request *admissionv1.AdmissionRequest, d decision) {
	if d.allowed && !klog.V(4).Enabled() {
		return
	}
	fields := []any{
		"handler", name, "outcome", d.outcome, "operation", request.Operation, "resource", resourceOf(request),
		"namespace", request.Namespace, "name", truncate(request.Name, maxName), "user", request.UserInfo.Username,
		"dryRun", isDryRun(request), "uid", request.UID, "rules", d.rules,
	}
	switch {
	case d.outcome == outcomeError:
		klog.ErrorS(nil, "Review failed", append(fields, "reason", truncate(d.message, maxMessage))...)
	case !d.allowed:
		klog.InfoS("Review denied", fields...)
	default:
		klog.InfoS("Review allowed", append(fields, "operations", len(d.patch))...)
	}
}
