//go:build linux

package main

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// churn is what comes and goes in some tenants: pods beside those with sidecars, which
// have none themselves.
type churn struct {
	*world
	tenants []*tenant

	mutex   sync.Mutex
	changes map[hearing]*change
	living  []*guest // in the order of their creation
	number  int
}

// hearing is what sidecars hear of a change.
type hearing struct {
	address netip.Addr
	added   bool
}

type change struct {
	tenant *tenant
	// at is when the API server first told of it: to whoever wrote it, by the answer,
	// or to a watch. It is somewhat after the server under test has heard of it, so
	// there is sent too, which is before that: when it was asked for.
	at, sent time.Time
}

type guest struct {
	tenant *tenant
	pod    podRef
}

func newChurn(w *world, tenants []*tenant) *churn {
	return &churn{world: w, tenants: tenants, changes: map[hearing]*change{}}
}

// of is a change that is to come or has.
func (c *churn) of(t *tenant, address netip.Addr, added bool) *change {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	key := hearing{address, added}
	if c.changes[key] == nil {
		c.changes[key] = &change{tenant: t}
	}
	return c.changes[key]
}

// told notes the first mention of a change.
func (c *churn) told(change *change) {
	now := time.Now()
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if change.at.IsZero() {
		change.at = now
	}
}

// follow notes changes as a watch of pods shows them, until the context ends.
func (c *churn) follow(ctx context.Context) error {
	of := map[string]*tenant{}
	for _, t := range c.tenants {
		of[t.name] = t
	}
	first, err := c.kube.CoreV1().Pods("").List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return fmt.Errorf("list pods: %w", err)
	}
	events, err := c.kube.CoreV1().Pods("").Watch(ctx, metav1.ListOptions{ResourceVersion: first.ResourceVersion})
	if err != nil {
		return fmt.Errorf("watch pods: %w", err)
	}
	go func() {
		defer events.Stop()
		for event := range events.ResultChan() {
			pod, ok := event.Object.(*corev1.Pod)
			if !ok || of[pod.Namespace] == nil || pod.Status.PodIP == "" {
				continue
			}
			if address, err := netip.ParseAddr(pod.Status.PodIP); err == nil {
				c.told(c.of(of[pod.Namespace], address, event.Type != watch.Deleted))
			}
		}
	}()
	return nil
}

// run makes so many changes a second: pods come and go by turns. What is late is made up
// for, as far as some writers at a time can.
func (c *churn) run(ctx context.Context, rate float64, d time.Duration) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(c.writers)
	began := time.Now()
	for i := 0; ctx.Err() == nil; i++ {
		due := began.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		if due.Sub(began) >= d {
			break
		}
		time.Sleep(time.Until(due))
		if i%2 == 1 {
			if g := c.oldest(); g != nil {
				group.Go(func() error { return c.remove(ctx, g) })
				continue
			}
		}
		n := c.number
		c.number++
		group.Go(func() error { return c.create(ctx, c.tenants[n%len(c.tenants)], n) })
	}
	return group.Wait()
}

func (c *churn) create(ctx context.Context, t *tenant, n int) error {
	pod, err := c.createPod(ctx, t.name, fmt.Sprintf("guest-%d", n), appName(0), noSidecar)
	if err != nil {
		return err
	}
	change := c.of(t, pod.address, true)
	c.told(change)
	c.mutex.Lock()
	defer c.mutex.Unlock()
	change.sent = pod.told
	c.living = append(c.living, &guest{t, pod})
	return nil
}

func (c *churn) remove(ctx context.Context, g *guest) error {
	change := c.of(g.tenant, g.pod.address, false)
	change.sent = time.Now()
	if err := c.deletePod(ctx, g.tenant.name, g.pod.name); err != nil {
		return err
	}
	c.told(change)
	return nil
}

func (c *churn) oldest() *guest {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if len(c.living) == 0 {
		return nil
	}
	g := c.living[0]
	c.living = c.living[1:]
	return g
}

// clear removes all that have come.
func (c *churn) clear(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(c.writers)
	for g := c.oldest(); g != nil; g = c.oldest() {
		group.Go(func() error { return c.remove(ctx, g) })
	}
	return group.Wait()
}

// due are how often the changes until now must have been heard.
func (c *churn) due() int {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	sum := 0
	for _, change := range c.changes {
		sum += len(change.tenant.pods)
	}
	return sum
}
