package webhook

import corev1 "k8s.io/api/core/v1"

// setSeccompProfile gives a pod that names no seccomp profile the runtime's: it
// forbids, among others, sockets that never meet netfilter (threat P11). What a
// container sets for itself is the rules' business.
func setSeccompProfile(e *edit) {
	const path = "/spec/securityContext"
	profile := &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}
	switch context := e.pod.Spec.SecurityContext; {
	case context == nil:
		e.pod.Spec.SecurityContext = &corev1.PodSecurityContext{SeccompProfile: profile}
		e.add(path, e.pod.Spec.SecurityContext.DeepCopy())
	case context.SeccompProfile == nil:
		context.SeccompProfile = profile
		e.add(path+"/seccompProfile", profile)
	}
}
