package tenants

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
)

// Members are all pods of the cluster, so far as the status of Tenants needs them.
// Whoever follows pods anyway tells them, as the feed does in every replica: who leads
// next need not read all pods again. They take some fifty bytes a pod.
type Members struct {
	mutex      sync.Mutex
	read       bool
	namespaces map[string]map[string]fact // by name
	watchers   map[*memberWatcher]struct{}
}

// fact is what is remembered of a pod.
type fact struct {
	ended, protected bool
	failed           *member // nil: the sidecar's containers have not ended in failure
}

// memberWatcher is told of each pod as it is now, nil: gone, and of what was known of it
// before, nil: nothing. It must not call back.
type memberWatcher struct {
	told func(namespace string, before *fact, now *member)
}

// NewMembers knows no pod.
func NewMembers() *Members {
	return &Members{namespaces: map[string]map[string]fact{}, watchers: map[*memberWatcher]struct{}{}}
}

// Trim leaves of a pod what Set and Replace take.
func (m *Members) Trim(pod *corev1.Pod) any { return newMember(pod) }

// Set takes a pod that is new or has changed, trimmed.
func (m *Members) Set(trimmed any) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.set(trimmed.(*member))
}

// Remove forgets a pod that is no more.
func (m *Members) Remove(namespace, name string) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.remove(namespace, name)
}

// Replace takes all pods that there are, trimmed: others are no more.
func (m *Members) Replace(all []any) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	there := map[string]map[string]bool{}
	for _, trimmed := range all {
		now := trimmed.(*member)
		if there[now.namespace] == nil {
			there[now.namespace] = map[string]bool{}
		}
		there[now.namespace][now.name] = true
		m.set(now)
	}
	for namespace, pods := range m.namespaces {
		for name := range pods {
			if !there[namespace][name] {
				m.remove(namespace, name)
			}
		}
	}
	m.read = true
}

func (m *Members) set(now *member) {
	pods := m.namespaces[now.namespace]
	if pods == nil {
		pods = map[string]fact{}
		m.namespaces[now.namespace] = pods
	}
	before := known(pods, now.name)
	next := fact{ended: now.ended, protected: now.protected}
	if len(now.failures) > 0 {
		next.failed = now
	}
	pods[now.name] = next
	m.tell(now.namespace, before, now)
}

func (m *Members) remove(namespace, name string) {
	pods := m.namespaces[namespace]
	before := known(pods, name)
	if before == nil {
		return
	}
	if delete(pods, name); len(pods) == 0 {
		delete(m.namespaces, namespace)
	}
	m.tell(namespace, before, nil)
}

func known(pods map[string]fact, name string) *fact {
	if before, ok := pods[name]; ok {
		return &before
	}
	return nil
}

func (m *Members) tell(namespace string, before *fact, now *member) {
	for w := range m.watchers {
		w.told(namespace, before, now)
	}
}

// hasSynced tells whether all that there are have been told once.
func (m *Members) hasSynced() bool {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return m.read
}

// count counts the pods of a namespace that have not ended, and those of them whose
// firewall was built and is watched.
func (m *Members) count(namespace string) (pods, protected int32) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	for _, pod := range m.namespaces[namespace] {
		if pod.ended {
			continue
		}
		pods++
		if pod.protected {
			protected++
		}
	}
	return pods, protected
}

// watch has each change told from now on, and at once, as new, the pods whose sidecar has
// failed.
func (m *Members) watch(told func(namespace string, before *fact, now *member)) (unwatch func()) {
	w := &memberWatcher{told}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	for namespace, pods := range m.namespaces {
		for _, pod := range pods {
			if pod.failed != nil {
				told(namespace, nil, pod.failed)
			}
		}
	}
	m.watchers[w] = struct{}{}
	return func() {
		m.mutex.Lock()
		defer m.mutex.Unlock()
		delete(m.watchers, w)
	}
}
