package webhook

import (
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
)

// exempts tells whether the configuration exempts the request, and by what.
func (a *Admission) exempts(request *admissionv1.AdmissionRequest) (by string, ok bool) {
	switch {
	case slices.Contains(a.config.Exempt.Namespaces, request.Namespace):
		return "namespace", true
	case slices.Contains(a.config.Exempt.Users, request.UserInfo.Username):
		return "user", true
	}
	return "", false
}

// exemptsPod tells whether the configuration exempts the pod's runtime class.
func (a *Admission) exemptsPod(pod *corev1.Pod) bool {
	class := pod.Spec.RuntimeClassName
	return class != nil && slices.Contains(a.config.Exempt.RuntimeClasses, *class)
}
