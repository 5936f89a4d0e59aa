package rego

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestVersions asks at every version from v1.0 on, and says from which to which a rule
// refuses a pod. The first and last versions of each range are the standard's own
// boundaries.
func TestVersions(t *testing.T) {
	const always = "v1.0-latest"
	container := func(fields string) string {
		return `{"spec":{"containers":[{"name":"a",` + fields + `}]}}`
	}
	windows := func(fields string) string {
		return `{"spec":{"os":{"name":"windows"},"containers":[{"name":"a",` + fields + `}]}}`
	}
	userNamespace := func(fields string) string {
		return `{"spec":{"hostUsers":false,"containers":[{"name":"a",` + fields + `}]}}`
	}
	sysctl := func(name string) string {
		return `{"spec":{"securityContext":{"sysctls":[{"name":"` + name + `","value":"1"}]}}}`
	}
	annotation := func(key string) string {
		return `{"metadata":{"annotations":{"` + key + `":"unconfined"}},"spec":{"containers":[{"name":"a"}]}}`
	}
	const (
		nothing     = `"image":"a"`
		unconfined  = `"securityContext":{"seccompProfile":{"type":"Unconfined"}}`
		chown       = `"securityContext":{"capabilities":{"add":["CHOWN"]}}`
		sysAdmin    = `"securityContext":{"capabilities":{"add":["SYS_ADMIN"]}}`
		unmasked    = `"securityContext":{"procMount":"Unmasked"}`
		userZero    = `"securityContext":{"runAsUser":0}`
		probe       = `"livenessProbe":{"httpGet":{"host":"x","port":80}}`
		engineType  = `"securityContext":{"seLinuxOptions":{"type":"container_engine_t"}}`
		podSeccomp  = "seccomp.security.alpha.kubernetes.io/pod"
		ofContainer = "container.seccomp.security.alpha.kubernetes.io/"
	)
	engine := newTestEngine(t, files)
	for _, test := range []struct {
		rule, level, pod, refused string
	}{
		{"pss-privileged", Baseline, container(`"securityContext":{"privileged":true}`), always},
		{"pss-privileged", Restricted, container(`"securityContext":{"privileged":true}`), always},
		{"pss-privileged", Privileged, container(`"securityContext":{"privileged":true}`), ""},
		{"pss-app-armor", Baseline, container(`"securityContext":{"appArmorProfile":{"type":"Unconfined"}}`), always},
		{"pss-capabilities", Baseline, container(sysAdmin), always},
		{"pss-capabilities", Restricted, container(sysAdmin), "v1.0-v1.21"},
		{"pss-restricted-capabilities", Restricted, container(nothing), "v1.22-latest"},
		{"pss-restricted-capabilities", Restricted, container(chown), "v1.22-latest"},
		{"pss-restricted-capabilities", Restricted, windows(chown), "v1.22-v1.24"},
		{"pss-capabilities", Restricted, windows(sysAdmin), "v1.0-v1.21"},
		{"pss-host-namespaces", Baseline, `{"spec":{"hostIPC":true}}`, always},
		{"pss-host-path", Baseline, `{"spec":{"volumes":[{"name":"x","hostPath":{}}]}}`, always},
		{"pss-host-path", Restricted, `{"spec":{"volumes":[{"name":"x","hostPath":{}}]}}`, ""},
		{"pss-volume-types", Restricted, `{"spec":{"volumes":[{"name":"x","hostPath":{}}]}}`, always},
		{"pss-volume-types", Baseline, `{"spec":{"volumes":[{"name":"x","nfs":{}}]}}`, ""},
		{"pss-host-ports", Baseline, container(`"ports":[{"hostPort":80}]`), always},
		{"pss-host-process", Baseline, container(`"securityContext":{"windowsOptions":{"hostProcess":true}}`), always},
		{"pss-probe-hosts", Baseline, container(probe), "v1.34-latest"},
		{"pss-probe-hosts", Restricted, container(probe), "v1.34-latest"},
		{"pss-proc-mount", Baseline, container(unmasked), always},
		{"pss-proc-mount", Baseline, userNamespace(unmasked), "v1.0-v1.34"},
		{"pss-proc-mount", Restricted, userNamespace(unmasked), "v1.0-v1.34"},
		{"pss-restricted-proc-mount", Restricted, userNamespace(unmasked), "v1.35-latest"},
		{"pss-restricted-proc-mount", Baseline, userNamespace(unmasked), ""},
		{"pss-privilege-escalation", Restricted, container(nothing), "v1.8-latest"},
		{"pss-privilege-escalation", Restricted, windows(nothing), "v1.8-v1.24"},
		{"pss-run-as-non-root", Restricted, container(nothing), always},
		{"pss-run-as-non-root", Restricted, userNamespace(nothing), "v1.0-v1.34"},
		{"pss-run-as-user", Restricted, container(userZero), "v1.23-latest"},
		{"pss-run-as-user", Restricted, userNamespace(userZero), "v1.23-v1.34"},
		{"pss-seccomp", Baseline, container(unconfined), "v1.19-latest"},
		{"pss-seccomp", Baseline, annotation(podSeccomp), "v1.0-v1.18"},
		{"pss-seccomp", Baseline, annotation(ofContainer + "a"), "v1.0-v1.18"},
		{"pss-seccomp", Baseline, annotation(ofContainer + "b"), ""},
		{"pss-seccomp", Restricted, container(unconfined), ""},
		{"pss-seccomp", Restricted, annotation(podSeccomp), "v1.0-v1.18"},
		{"pss-restricted-seccomp", Restricted, container(nothing), "v1.19-latest"},
		{"pss-restricted-seccomp", Restricted, windows(unconfined), "v1.19-v1.24"},
		{"pss-selinux", Baseline, container(engineType), "v1.0-v1.30"},
		{"pss-selinux", Baseline, container(strings.Replace(engineType, "container_engine_t", "spc_t", 1)), always},
		{"pss-sysctls", Baseline, sysctl("kernel.sem"), always},
		{"pss-sysctls", Baseline, sysctl("net.ipv4.tcp_syncookies"), ""},
		{"pss-sysctls", Baseline, sysctl("net.ipv4.ip_local_reserved_ports"), "v1.0-v1.26"},
		{"pss-sysctls", Baseline, sysctl("net.ipv4.tcp_keepalive_time"), "v1.0-v1.28"},
		{"pss-sysctls", Baseline, sysctl("net.ipv4.tcp_rmem"), "v1.0-v1.31"},
		{"pss-sysctls", Baseline, sysctl("net.ipv4.tcp_notsent_lowat"), "v1.0-v1.36"},
	} {
		var refused []string
		for _, version := range everyVersion() {
			in := podInput(test.pod)
			in.Enforce = Level{test.level, version}
			result, err := engine.Evaluate(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			if slices.ContainsFunc(result.Violations, func(v Violation) bool { return v.ID == test.rule }) {
				refused = append(refused, version)
			}
		}
		if got := ranges(refused); got != test.refused {
			t.Errorf("%s at level %s of %s: refused at %q, want %q", test.rule, test.level, test.pod, got, test.refused)
		}
	}
}

// everyVersion goes beyond the newest that the rules know.
func everyVersion() []string {
	var versions []string
	for minor := range 45 {
		versions = append(versions, fmt.Sprintf("v1.%d", minor))
	}
	return append(versions, Latest)
}

// ranges writes versions that follow each other as first-last.
func ranges(versions []string) string {
	all := everyVersion()
	var text []string
	for i := 0; i < len(versions); {
		first := slices.Index(all, versions[i])
		n := 1
		for i+n < len(versions) && versions[i+n] == all[first+n] {
			n++
		}
		text = append(text, versions[i]+"-"+versions[i+n-1])
		i += n
	}
	return strings.Join(text, ", ")
}
