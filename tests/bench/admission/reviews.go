package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"syscall"
	"time"

	"github.com/bulkhead-dev/bulkhead/tests/bench/report"
	"github.com/bulkhead-dev/bulkhead/webhook"
)

// candidate answers reviews, one or more for each sample.
type candidate struct {
	name  string
	steps []step
}

// step sends one of a sample's reviews to a handler.
type step struct {
	handler http.Handler
	path    string
	body    func(*sample) []byte
}

func created(s *sample) []byte { return s.create }
func changed(s *sample) []byte { return s.mutated }

// measureReviews times every candidate on every sample, and counts allocations.
func (b *bench) measureReviews(ctx context.Context) error {
	psa, err := newPodSecurity()
	if err != nil {
		return fmt.Errorf("set up PSA: %w", err)
	}
	afresh, err := b.ours.newHandler(ctx, 0)
	if err != nil {
		return err
	}
	mutate := step{b.ours.handler, webhook.MutatePath, created}
	validate := step{b.ours.handler, webhook.ValidatePath, changed}
	candidates := []candidate{
		{"bulkhead_mutate", []step{mutate}},
		{"bulkhead_validate", []step{validate}},
		{"bulkhead_validate_uncached", []step{{afresh, webhook.ValidatePath, changed}}},
		{"bulkhead_both", []step{mutate, validate}},
		{"psa", []step{{psa, "/", created}}},
	}
	for _, c := range candidates { // and warm up
		if err := b.check(c); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	times := map[string]map[string][]time.Duration{} // by candidate and set
	for _, c := range candidates {
		times[c.name] = map[string][]time.Duration{}
	}
	for round := range b.rounds {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		for _, i := range rand.Perm(len(b.deck)) {
			s := &b.deck[i]
			for _, j := range rand.Perm(len(candidates)) {
				c := candidates[j]
				times[c.name][s.set] = append(times[c.name][s.set], c.time(s))
			}
		}
		if (round+1)%20 == 0 {
			report.Progress("  round %d of %d", round+1, b.rounds)
		}
	}
	for _, c := range candidates {
		b.results.reviews(c.name, times[c.name])
		b.results.Summary.Allocs[c.name], b.results.Details.ProcessorTime[c.name] = b.costs(c)
	}
	b.results.note(fmt.Sprintf("one in %d pods is the first of a new rollout, the others are replicas: all but bulkhead_validate and bulkhead_both, which remember decisions, take both alike", newTemplates))
	return nil
}

// check makes sure that the candidate answers all reviews, and counts its denials.
func (b *bench) check(c candidate) error {
	for i := range b.deck {
		for _, s := range c.steps {
			response, err := ask(s.handler, s.path, s.body(&b.deck[i]))
			if err != nil {
				return fmt.Errorf("%s: %w", b.deck[i].set, err)
			}
			if !response.Allowed {
				b.results.Details.Denied[c.name]++
			}
		}
	}
	return nil
}

// time is how long the candidate takes for the sample.
func (c candidate) time(s *sample) time.Duration {
	var spent time.Duration
	for _, step := range c.steps {
		request, answer := newRequest(step.path, next(step.body(s))), newAnswer()
		began := time.Now()
		step.handler.ServeHTTP(answer, request)
		spent += time.Since(began)
	}
	return spent
}

// costs are the mean allocations and the mean processor time of a review over all
// samples, the request's own aside. The time holds what the garbage collector takes,
// and nothing that other programs do.
func (b *bench) costs(c candidate) (allocations, microseconds float64) {
	const passes = 5
	count := func(review func(*sample)) (allocations, microseconds float64) {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		began := processorTime()
		for range passes {
			for i := range b.deck {
				review(&b.deck[i])
			}
		}
		spent := processorTime() - began
		runtime.ReadMemStats(&after)
		reviews := float64(passes * len(b.deck))
		return float64(after.Mallocs-before.Mallocs) / reviews, float64(spent.Nanoseconds()) / 1e3 / reviews
	}
	ownAllocations, ownTime := count(func(s *sample) {
		for _, step := range c.steps {
			runtime.KeepAlive(newRequest(step.path, next(step.body(s))))
			runtime.KeepAlive(newAnswer())
		}
	})
	allocations, microseconds = count(func(s *sample) { c.time(s) })
	return report.Round(allocations-ownAllocations, 0), report.Round(microseconds-ownTime, 1)
}

// processorTime is what this process has spent.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err) // of a bad argument only
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// answer takes a handler's answer, and deadlines, which count for nothing here.
type answer struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func newAnswer() *answer { return &answer{header: http.Header{}, code: http.StatusOK} }

func (a *answer) Header() http.Header            { return a.header }
func (a *answer) WriteHeader(code int)           { a.code = code }
func (a *answer) Write(data []byte) (int, error) { return a.body.Write(data) }
func (*answer) SetReadDeadline(time.Time) error  { return nil }
func (*answer) SetWriteDeadline(time.Time) error { return nil }
