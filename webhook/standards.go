package webhook

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// The labels of namespaces that name levels of the Pod Security Standards and their
// versions (k8s.io/pod-security-admission/api/constants.go).
const (
	labelPrefix         = "pod-security.kubernetes.io/"
	enforceLabel        = labelPrefix + "enforce"
	enforceVersionLabel = labelPrefix + "enforce-version"
	warnLabel           = labelPrefix + "warn"
	warnVersionLabel    = labelPrefix + "warn-version"
	auditLabel          = labelPrefix + "audit"
	auditVersionLabel   = labelPrefix + "audit-version"
)

// standards are what a pod is held to: what refuses it, warns of it and is noted.
type standards struct {
	enforce, warn, audit v1alpha1.Standard
}

func privileged() v1alpha1.Standard {
	return v1alpha1.Standard{Level: v1alpha1.Privileged, Version: v1alpha1.VersionLatest}
}

func noStandards() standards { return standards{privileged(), privileged(), privileged()} }

// standardsOf reads what has been defaulted.
func standardsOf(p v1alpha1.PodSecurity) standards {
	return standards{
		enforce: v1alpha1.Standard{Level: p.Enforce, Version: p.EnforceVersion},
		warn:    v1alpha1.Standard{Level: p.Warn, Version: p.WarnVersion},
		audit:   v1alpha1.Standard{Level: p.Audit, Version: p.AuditVersion},
	}
}

// stricter is as strict as both in each of the three.
func (s standards) stricter(o standards) standards {
	return standards{
		enforce: v1alpha1.Stricter(s.enforce, o.enforce),
		warn:    v1alpha1.Stricter(s.warn, o.warn),
		audit:   v1alpha1.Stricter(s.audit, o.audit),
	}
}

// labelled reads a namespace's labels as Kubernetes' own plugin does
// (k8s.io/pod-security-admission/api/helpers.go, PolicyToEvaluate): a value that it
// cannot read makes enforce restricted:latest and warns or notes of nothing, and a
// level to warn of that is not named is the enforced one.
func labelled(labels map[string]string) (standards, field.ErrorList) {
	var errs field.ErrorList
	read := func(levelLabel, versionLabel string, unreadable v1alpha1.Level) (v1alpha1.Standard, bool) {
		standard, ok := privileged(), true
		check := func(label string, err error) {
			if err != nil {
				ok = false
				errs = append(errs, field.Invalid(field.NewPath("metadata", "labels").Key(label), labels[label], err.Error()))
			}
		}
		if text, named := labels[levelLabel]; named {
			level, err := v1alpha1.ParseLevel(text)
			if check(levelLabel, err); err != nil {
				level = unreadable
			}
			standard.Level = level
		}
		if version, named := labels[versionLabel]; named {
			_, err := v1alpha1.ParseVersion(version)
			if check(versionLabel, err); err != nil {
				version = v1alpha1.VersionLatest
			}
			standard.Version = version
		}
		return standard, ok
	}
	var s standards
	var readable bool
	s.enforce, readable = read(enforceLabel, enforceVersionLabel, v1alpha1.Restricted)
	s.audit, _ = read(auditLabel, auditVersionLabel, v1alpha1.Privileged)
	s.warn, _ = read(warnLabel, warnVersionLabel, v1alpha1.Privileged)
	if _, warns := labels[warnLabel]; !warns && readable {
		s.warn.Level = s.enforce.Level
		if _, versioned := labels[warnVersionLabel]; !versioned {
			s.warn.Version = s.enforce.Version
		}
	}
	return s, errs
}

// podSecurityLabels are those of a namespace's labels that an Admission reads.
func podSecurityLabels(labels map[string]string) map[string]string {
	found := map[string]string{}
	for _, label := range []string{enforceLabel, enforceVersionLabel, warnLabel, warnVersionLabel, auditLabel, auditVersionLabel} {
		if value, ok := labels[label]; ok {
			found[label] = value
		}
	}
	return found
}
