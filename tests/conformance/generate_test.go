package conformance

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
)

// generator makes pods at random: every field that a control reads, with values that
// mean something and values that nobody would write.
type generator struct {
	*rand.Rand
	// density is the chance of a field to be there.
	density float64
}

func pick[T any](g *generator, values ...T) T { return values[g.IntN(len(values))] }

// object makes an object of some of the fields.
func (g *generator) object(fields map[string]func() any) map[string]any {
	made := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		switch chance := g.Float64(); {
		case chance < g.density:
			made[name] = fields[name]()
		case chance > 0.995:
			made[name] = nil
		}
	}
	return made
}

func (g *generator) list(most int, element func() any) func() any {
	return func() any {
		list := make([]any, g.IntN(most+1))
		for i := range list {
			list[i] = element()
		}
		return list
	}
}

func (g *generator) boolean() any { return g.IntN(2) == 0 }

func (g *generator) integer() any {
	return pick(g, 0, 0, 1, -1, 2, 1000, 65534, 65535, 65536, math.MaxInt32, math.MinInt32, math.MaxInt64, math.MinInt64)
}

func (g *generator) port() any {
	return pick(g, 0, 0, 1, -1, 80, 65535, 65536, math.MaxInt32, math.MinInt32)
}

// text returns one of the values, or a distortion of it.
func (g *generator) text(values ...string) func() any {
	return func() any {
		value := pick(g, values...)
		if g.IntN(5) > 0 {
			return value
		}
		return pick(g,
			"", " ", strings.ToUpper(value), strings.ToLower(value), " "+value, value+" ", value+"\x00", "\n"+value,
			strings.Repeat(value, 3), strings.Repeat("x", 300), "ſ"+value, "İ", "null", "*", value+"/", "/"+value, "Ω",
		)
	}
}

func (g *generator) empty() any { return map[string]any{} }

// pod returns a pod. One in three is a good one by the strictest rules, in which a
// thing or two were changed.
func (g *generator) pod() map[string]any {
	g.density = pick(g, 0.02, 0.05, 0.1, 0.2, 0.5)
	names := []string{"app", "init", "debugger", "bulkhead", "a"}
	spec := g.object(map[string]func() any{
		"hostIPC":               g.boolean,
		"hostNetwork":           g.boolean,
		"hostPID":               g.boolean,
		"hostUsers":             g.boolean,
		"shareProcessNamespace": g.boolean,
		"nodeName":              g.text("node"),
		"os":                    func() any { return g.object(map[string]func() any{"name": g.text("windows", "linux")}) },
		"securityContext":       g.podContext,
		"volumes":               g.list(4, g.volume),
	})
	for _, kind := range []string{"containers", "initContainers", "ephemeralContainers"} {
		if kind == "containers" || g.IntN(3) == 0 {
			spec[kind] = g.list(3, func() any { return g.container(pick(g, names...)) })()
		}
	}
	if g.IntN(3) == 0 {
		g.restrict(spec)
	}
	if g.IntN(3) == 0 {
		spec["hostUsers"] = g.boolean()
	}
	if g.IntN(3) == 0 {
		spec["os"] = map[string]any{"name": pick(g, "windows", "windows", "linux", "Windows", "")}
	}
	metadata := map[string]any{"name": "generated"}
	if g.IntN(3) == 0 {
		metadata["annotations"] = g.annotations(names)
	}
	return map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
}

// restrict sets what the restricted level wants, in the pod or in its containers.
func (g *generator) restrict(spec map[string]any) {
	pod, _ := spec["securityContext"].(map[string]any)
	if pod == nil {
		pod = map[string]any{}
	}
	spec["securityContext"] = pod
	if g.IntN(4) > 0 {
		pod["runAsNonRoot"] = true
		pod["seccompProfile"] = map[string]any{"type": pick(g, "RuntimeDefault", "Localhost")}
	}
	for _, kind := range []string{"containers", "initContainers", "ephemeralContainers"} {
		list, _ := spec[kind].([]any)
		for _, element := range list {
			container := element.(map[string]any)
			context, _ := container["securityContext"].(map[string]any)
			if context == nil {
				context = map[string]any{}
			}
			container["securityContext"] = context
			good := map[string]any{
				"allowPrivilegeEscalation": false,
				"capabilities":             map[string]any{"drop": []any{"ALL"}},
				"runAsNonRoot":             true,
				"seccompProfile":           map[string]any{"type": "RuntimeDefault"},
			}
			for _, name := range slices.Sorted(maps.Keys(good)) {
				if _, set := context[name]; !set || g.IntN(4) > 0 {
					context[name] = good[name]
				}
			}
		}
	}
}

func (g *generator) annotations(names []string) map[string]any {
	made := map[string]any{}
	for range g.IntN(3) {
		key := pick(g,
			"seccomp.security.alpha.kubernetes.io/pod",
			"seccomp.security.alpha.kubernetes.io/",
			"container.seccomp.security.alpha.kubernetes.io/",
			"container.apparmor.security.beta.kubernetes.io/",
			"container.apparmor.security.beta.kubernetes.io",
		)
		if strings.HasPrefix(key, "container.") {
			key += pick(g, append(names, "", "nobody", "App")...)
		}
		if g.IntN(50) == 0 {
			made[key] = nil
			continue
		}
		made[key] = g.text("runtime/default", "docker/default", "localhost/profile", "localhost/", "unconfined")()
	}
	return made
}

func (g *generator) podContext() any {
	return g.object(map[string]func() any{
		"appArmorProfile":    g.appArmor,
		"fsGroup":            g.integer,
		"runAsGroup":         g.integer,
		"runAsNonRoot":       g.boolean,
		"runAsUser":          g.integer,
		"seLinuxOptions":     g.seLinux,
		"seccompProfile":     g.seccomp,
		"supplementalGroups": g.list(2, g.integer),
		"sysctls":            g.list(3, g.sysctl),
		"windowsOptions":     g.windows,
	})
}

func (g *generator) container(name string) map[string]any {
	made := g.object(map[string]func() any{
		"image":           g.text("image"),
		"lifecycle":       func() any { return g.object(map[string]func() any{"postStart": g.handler, "preStop": g.handler}) },
		"livenessProbe":   g.handler,
		"ports":           g.list(3, g.containerPort),
		"readinessProbe":  g.handler,
		"securityContext": g.containerContext,
		"startupProbe":    g.handler,
	})
	if g.IntN(20) > 0 {
		made["name"] = name
	}
	return made
}

func (g *generator) containerContext() any {
	capability := g.text(
		"ALL", "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
		"SETGID", "SETPCAP", "SETUID", "SYS_CHROOT", "NET_RAW", "NET_ADMIN", "SYS_ADMIN", "CAP_CHOWN", "CAP_SYS_ADMIN", "BPF",
	)
	return g.object(map[string]func() any{
		"allowPrivilegeEscalation": g.boolean,
		"appArmorProfile":          g.appArmor,
		"capabilities": func() any {
			return g.object(map[string]func() any{"add": g.list(3, capability), "drop": g.list(3, capability)})
		},
		"privileged":             g.boolean,
		"procMount":              g.text("Default", "Unmasked"),
		"readOnlyRootFilesystem": g.boolean,
		"runAsGroup":             g.integer,
		"runAsNonRoot":           g.boolean,
		"runAsUser":              g.integer,
		"seLinuxOptions":         g.seLinux,
		"seccompProfile":         g.seccomp,
		"windowsOptions":         g.windows,
	})
}

func (g *generator) appArmor() any {
	return g.object(map[string]func() any{"type": g.text("RuntimeDefault", "Localhost", "Unconfined"), "localhostProfile": g.text("p")})
}

func (g *generator) seccomp() any {
	return g.object(map[string]func() any{"type": g.text("RuntimeDefault", "Localhost", "Unconfined"), "localhostProfile": g.text("p")})
}

func (g *generator) seLinux() any {
	return g.object(map[string]func() any{
		"level": g.text("s0:c1,c2"),
		"role":  g.text("", "", "system_r", "container_engine_t"),
		"type":  g.text("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t", "spc_t"),
		"user":  g.text("", "", "system_u"),
	})
}

func (g *generator) windows() any {
	return g.object(map[string]func() any{"hostProcess": g.boolean, "runAsUserName": g.text("NT AUTHORITY\\SYSTEM")})
}

func (g *generator) sysctl() any {
	return g.object(map[string]func() any{
		"name": g.text(
			"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range",
			"net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time",
			"net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem",
			"net.ipv4.tcp_wmem", "net.ipv4.tcp_slow_start_after_idle", "net.ipv4.tcp_notsent_lowat", "kernel.sem",
			"net/ipv4/tcp_rmem", "net.ipv4.conf.all.route_localnet", "net.*",
		),
		"value": g.text("1"),
	})
}

func (g *generator) containerPort() any {
	return g.object(map[string]func() any{"containerPort": g.port, "hostIP": g.text("127.0.0.1"), "hostPort": g.port})
}

// handler is a probe or a hook.
func (g *generator) handler() any {
	address := func() any {
		return g.object(map[string]func() any{"host": g.text("", "localhost", "127.0.0.1", "10.0.0.1"), "port": g.port, "path": g.text("/")})
	}
	return g.object(map[string]func() any{"exec": g.empty, "httpGet": address, "tcpSocket": address})
}

func (g *generator) volume() any {
	source := pick(g,
		"awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "configMap", "csi", "downwardAPI", "emptyDir",
		"ephemeral", "fc", "flexVolume", "flocker", "gcePersistentDisk", "gitRepo", "glusterfs", "hostPath", "image", "iscsi",
		"nfs", "persistentVolumeClaim", "photonPersistentDisk", "portworxVolume", "projected", "quobyte", "rbd", "scaleIO",
		"secret", "storageos", "vsphereVolume", "ofTheFuture",
	)
	made := g.object(map[string]func() any{"name": g.text("data"), source: g.empty, "hostPath": g.empty, "emptyDir": g.empty})
	if g.IntN(4) > 0 {
		made[source] = map[string]any{}
	}
	return made
}
