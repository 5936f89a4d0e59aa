//go:build linux

package netns

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-dev/bulkhead/sidecar/config"
)

// TestFaultAtEveryStep is L8 where it hurts most: each step of bringing rules in, of
// the sidecar and of the tools that it runs, fails in turn, and then the sidecar is
// killed in its place, while bob sends in both families without a pause. What was
// closed before must stay closed; the next start must find its way.
func TestFaultAtEveryStep(t *testing.T) {
	needs(t)
	other := alice()
	other.Probes = append(other.Probes, 9999)
	other.Peers = append(other.Peers, tenant("", "172.16.3.0/24", "fd10:3::/64").Peers...)
	scenarios := map[string]struct {
		// before is done to a pod whose rules are whole.
		before string
		then   *config.Config
	}{
		"other peers and rules":   {"true", other},
		"repair of flushed rules": {"iptables-nft -F; ip6tables-nft -F", alice()},
		"the pod's new addresses": {"ip addr add 172.16.1.77/24 dev eth0; ip -6 addr add fd10:1::77/64 dev eth0 nodad", alice()},
	}
	for name, scenario := range scenarios {
		for _, what := range []fault{fails, killed} {
			t.Run(fmt.Sprintf("%s, %s", name, what), func(t *testing.T) {
				t.Parallel()
				l := newLab(t)
				fire := l.fire(t)
				if !eventually(func() bool { return fire.hits4.Load() > 0 && fire.hits6.Load() > 0 }) {
					t.Fatal("nothing arrives without rules: this test proves nothing")
				}
				l.alice1.protect(t, alice())
				time.Sleep(silence) // what was under way
				fire.reset()
				stride := 1
				if testing.Short() {
					stride = 9
				}
				succeeded, whole := 0, ""
				for step, steps := 0, 1; step <= steps; step += stride {
					l.alice1.sh(t, scenario.before)
					n, ok := l.alice1.initUntil(t, scenario.then, what, step)
					switch {
					case step == 0 && (!ok || n < 10):
						t.Fatalf("without a fault: %d steps, succeeded: %v", n, ok)
					case step == 0:
						steps, whole = n, l.alice1.filter(t)
					case ok:
						succeeded++
						if diff := cmp.Diff(whole, l.alice1.filter(t)); diff != "" {
							t.Errorf("a fault at step %d of %d is said to have done no harm, but (-whole +found):\n%s", step, steps, diff)
						}
					}
					if hits := fire.hits(); hits > 0 {
						t.Fatalf("a fault at step %d of %d lets %d packets through", step, steps, hits)
					}
					l.alice1.sh(t, "ip addr del 172.16.1.77/24 dev eth0 || true; ip -6 addr del fd10:1::77/64 dev eth0 || true")
					l.alice1.protect(t, alice())
				}
				t.Logf("%d steps may fail without harm; %d forbidden packets", succeeded, fire.shots.Load())
				time.Sleep(silence)
				if hits := fire.hits(); hits > 0 {
					t.Errorf("%d packets came through", hits)
				}
				l.passes(t)
			})
		}
	}
}
