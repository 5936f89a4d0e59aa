package webhook

import (
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
)

// exempts returns the decision if the configuration exempts the request's namespace
// or user.
func (a *Admission) exempts(request *admissionv1.AdmissionRequest) (decision, bool) {
	if d, ok := a.exemptsNamespace(request.Namespace); ok {
		return d, true
	}
	if slices.Contains(a.config.Exempt.Users, request.UserInfo.Username) {
		return exempt("user"), true
	}
	return decision{}, false
}

func (a *Admission) exemptsNamespace(namespace string) (decision, bool) {
	if slices.Contains(a.config.Exempt.Namespaces, namespace) {
		return exempt("namespace"), true
	}
	return decision{}, false
}

// exemptsPod returns the decision if the configuration exempts the pod's runtime
// class.
func (a *Admission) exemptsPod(pod *corev1.Pod) (decision, bool) {
	class := pod.Spec.RuntimeClassName
	if class != nil && slices.Contains(a.config.Exempt.RuntimeClasses, *class) {
		return exempt("runtimeClass"), true
	}
	return decision{}, false
}
