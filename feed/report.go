package feed

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

// The reasons of Events on pods.
const (
	ReasonTampered = "FirewallTampered"
	ReasonFailed   = "FirewallFailed"
	ReasonLapsed   = "FeedLapsed"
)

// report takes a report of the sender's.
func (s *server) report(w http.ResponseWriter, r *http.Request, from sender) {
	report, err := decode(http.MaxBytesReader(w, r.Body, protocol.MaxBytes))
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	s.metrics.observe(from.tenant, report)
	for _, record := range report.Records {
		s.tell(from, record)
	}
	w.WriteHeader(http.StatusNoContent)
}

func decode(body io.Reader) (*protocol.Report, error) {
	decoder := json.NewDecoder(body)
	decoder.DisallowUnknownFields()
	report := &protocol.Report{}
	if err := decoder.Decode(report); err != nil {
		return nil, fmt.Errorf("decode report: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errors.New("decode report: data after it")
	}
	if err := report.Validate(); err != nil {
		return nil, fmt.Errorf("validate report: %w", err)
	}
	return report, nil
}

// tell raises an Event on the sender's pod, and logs it. Dropped packets are no
// event: there may be many, and each one did what it should.
func (s *server) tell(from sender, record protocol.Record) {
	var at time.Time
	var reason, message string
	switch {
	case record.Tampering != nil:
		at, reason, message = record.Tampering.Time, ReasonTampered, tampered(record.Tampering)
	case record.Failure != nil:
		at, reason, message = record.Failure.Time, ReasonFailed, "the firewall is not in force, all traffic of the pod is dropped: "+record.Failure.Detail
	case record.Lapse != nil:
		at, reason, message = record.Lapse.Time, ReasonLapsed, "the firewall did not hear who its peers are, and let nobody new in: it is back "+within(record.Lapse.Duration)
	default:
		return
	}
	klog.InfoS("Firewall reported", "tenant", from.tenant, "pod", klog.KRef(from.Namespace, from.Name), "time", at, "reason", reason, "message", message)
	s.events.Event(&corev1.ObjectReference{
		APIVersion: "v1", Kind: "Pod", Namespace: from.Namespace, Name: from.Name, UID: types.UID(from.UID),
	}, corev1.EventTypeWarning, reason, message)
}

// tampered says it in words that repeat, so that Events of the same are one.
func tampered(t *protocol.Tampering) string {
	text := "the firewall was changed by somebody else (" + string(t.Kind.Known()) + ") and repaired " + within(t.Whole)
	if t.Detail != "" {
		text += ": " + t.Detail
	}
	return text
}

func within(d time.Duration) string {
	for _, bound := range []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, time.Second, 10 * time.Second, time.Minute, time.Hour} {
		if d <= bound {
			return "within " + strings.NewReplacer("1m0s", "1m", "1h0m0s", "1h").Replace(bound.String())
		}
	}
	return "after more than 1h"
}
