package webhook

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
)

// DecisionLog writes a line of JSON for each review: who asked for what, which rules
// were violated and what was decided. Nothing of the object is in it but its name.
type DecisionLog struct {
	mutex  sync.Mutex
	writer io.Writer
}

// NewDecisionLog writes each line in one piece.
func NewDecisionLog(writer io.Writer) *DecisionLog {
	return &DecisionLog{writer: writer}
}

// logLine is what a line of the log holds.
type logLine struct {
	Time      time.Time `json:"time"`
	Handler   string    `json:"handler"`
	UID       string    `json:"uid"`
	User      string    `json:"user"`
	Operation string    `json:"operation"`
	Resource  string    `json:"resource"`
	Group     string    `json:"group,omitempty"`
	Namespace string    `json:"namespace,omitempty"`
	Name      string    `json:"name,omitempty"`
	Tenant    string    `json:"tenant,omitempty"`
	Decision  string    `json:"decision"`
	Exempt    string    `json:"exempt,omitempty"`
	Failed    bool      `json:"failed,omitempty"`
	Rules     []string  `json:"rules,omitempty"`
	Warnings  int       `json:"warnings,omitempty"`
	DryRun    bool      `json:"dryRun"`
	// Milliseconds from the whole body to the decision.
	Milliseconds float64 `json:"milliseconds"`
}

func (l *DecisionLog) write(handler string, request *admissionv1.AdmissionRequest, d decision, duration time.Duration) error {
	line, err := json.Marshal(logLine{
		Time:         time.Now().UTC(),
		Handler:      handler,
		UID:          string(request.UID),
		User:         request.UserInfo.Username,
		Operation:    string(request.Operation),
		Resource:     resourceOf(request),
		Group:        request.Resource.Group,
		Namespace:    request.Namespace,
		Name:         truncate(request.Name, maxName),
		Tenant:       d.tenant,
		Decision:     d.verb(),
		Exempt:       d.annotations["exempt"],
		Failed:       d.outcome == outcomeError,
		Rules:        d.rules,
		Warnings:     len(d.warnings),
		DryRun:       isDryRun(request),
		Milliseconds: float64(duration.Microseconds()) / 1000,
	})
	if err != nil {
		return fmt.Errorf("encode decision: %w", err)
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if _, err := l.writer.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write decision: %w", err)
	}
	return nil
}
