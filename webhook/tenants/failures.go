package tenants

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	sidecarconfig "github.com/bulkhead-dev/bulkhead/sidecar/config"
)

// reasonFailed is the Events' reason, as the feed has it for what sidecars report
// themselves.
const reasonFailed = "FirewallFailed"

// overlap is how long before its term a leader still tells of failures, which the
// one before it may not have seen.
const overlap = time.Minute

// EventRecorder records Events of objects. It must not block.
type EventRecorder interface {
	Event(object runtime.Object, eventType, reason, message string)
}

// tellFailures raises an Event when a container of the sidecar has ended in failure.
// A firewall that cannot be brought in has closed the pod, itself included, so it
// cannot report; but the kubelet writes its last words into the pod's status, and
// raises Events of its back-off only. before is nil for a pod that is new here.
func (r *statusRun) tellFailures(before *fact, pod *member) {
	if pod.deleted {
		return
	}
	for _, f := range pod.failures {
		if before == nil && f.at.Before(r.began.Add(-overlap)) {
			continue
		}
		if before != nil && before.failed != nil && slices.Contains(before.failed.failures, f) {
			continue
		}
		if len(r.cluster.Index().Claimers(pod.namespace)) == 0 {
			return
		}
		r.events.Event(&corev1.ObjectReference{
			APIVersion: "v1", Kind: "Pod", Namespace: pod.namespace, Name: pod.name, UID: pod.uid,
			FieldPath: fmt.Sprintf("spec.initContainers{%s}", f.container),
		}, corev1.EventTypeWarning, reasonFailed, f.words)
	}
}

// failureOf is how the container last ended, if it ended in failure: as it is, or
// before it was started again.
func failureOf(status corev1.ContainerStatus) *corev1.ContainerStateTerminated {
	ended := status.State.Terminated
	if ended == nil {
		ended = status.LastTerminationState.Terminated
	}
	if ended == nil || ended.ExitCode == 0 {
		return nil
	}
	return ended
}

// lastWords says what became of the pod, and why. What the program says of its end
// stands last in its log, behind its name; what stands before is no reason.
func lastWords(container string, ended *corev1.ContainerStateTerminated) string {
	why := fmt.Sprintf("%s, exit code %d", ended.Reason, ended.ExitCode) // killed, it says nothing
	if last := strings.LastIndex(ended.Message, "bulkhead-firewall: "); last >= 0 {
		why = strings.TrimSpace(protocol.Text(ended.Message[last:]))
	}
	if container == sidecarconfig.InitContainer {
		return "the firewall was not brought in, the pod does not start: " + why
	}
	return "the firewall's watch has ended and is started again, what rules there were stay: " + why
}
