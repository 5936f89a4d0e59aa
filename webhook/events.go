package webhook

import (
	"encoding/json"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
)

// EventRecorder records Kubernetes Events. It must not block: client-go's does not,
// and bounds how many there are of an object.
type EventRecorder interface {
	Event(object runtime.Object, eventType, reason, message string)
}

const (
	// reasonRefused is the reason of the Event on a workload whose pod was denied.
	reasonRefused = "RefusedByBulkhead"
	// maxEvent bounds an Event's message (k8s.io/kubernetes/pkg/apis/core/validation/events.go).
	maxEvent = 1024
	// maxName is the longest name that an object may have.
	maxName = validation.DNS1123SubdomainMaxLength
)

// recordDenial tells the workload whose controller was denied an object: whoever
// wrote the workload has left since. The text names no object, so that the denials
// of a workload's many pods are one Event with a count.
func recordDenial(recorder EventRecorder, request *admissionv1.AdmissionRequest, d decision) {
	if d.outcome != outcomeDenied || request.Operation != admissionv1.Create || isDryRun(request) {
		return
	}
	if owner := ownerOf(request); owner != nil {
		recorder.Event(owner, corev1.EventTypeWarning, reasonRefused, truncate(d.message, maxEvent))
	}
}

// ownerOf is the object's controller, nil if it has none.
func ownerOf(request *admissionv1.AdmissionRequest) *corev1.ObjectReference {
	var object metav1.PartialObjectMetadata
	if err := json.Unmarshal(request.Object.Raw, &object); err != nil {
		return nil // what cannot be read is denied for that, and is no controller's
	}
	owner := metav1.GetControllerOf(&object)
	if owner == nil || request.Namespace == "" {
		return nil
	}
	// Nobody has looked at them before, and a recorder keeps thousands (threat A9).
	for _, text := range []string{owner.APIVersion, owner.Kind, owner.Name, string(owner.UID)} {
		if len(text) > maxName {
			return nil
		}
	}
	return &corev1.ObjectReference{
		APIVersion: owner.APIVersion, Kind: owner.Kind, Namespace: request.Namespace, Name: owner.Name, UID: owner.UID,
	}
}
