// Kyverno times Kyverno's validating webhook, from the bytes of an AdmissionReview to
// those of its answer, in this process and one at a time, as tests/bench/admission times
// the others: it is built and run by that program. It is a module of its own for all that
// Kyverno depends on.
//
// It reads policies from a file and reviews from stdin, one a line, and writes what it
// found as JSON. Logs go to stderr.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
)

// found is what is written.
type found struct {
	// Version is Kyverno's.
	Version string `json:"version"`
	// Denied has the message of each review's denial, in the reviews' order; empty where
	// it was allowed.
	Denied []string `json:"denied"`
	// TimesNs has each review's times, in the reviews' order.
	TimesNs [][]int64 `json:"times_ns"`
	// Allocs and ProcessorUs are the means of a review, the garbage collector's time
	// with them.
	Allocs      float64 `json:"allocs"`
	ProcessorUs float64 `json:"processor_us"`
}

func main() {
	policies := flag.String("policies", "", "file of policies")
	rounds := flag.Int("rounds", 60, "how often all reviews are timed")
	verbosity := flag.Int("verbosity", 2, "of Kyverno's logs, the chart's default")
	flag.Parse()
	if err := run(*policies, *rounds, *verbosity, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "kyverno: %v\n", err)
		os.Exit(1)
	}
}

func run(policies string, rounds, verbosity int, in io.Reader, out io.Writer) error {
	text, err := os.ReadFile(policies)
	if err != nil {
		return err
	}
	handler, err := newWebhook(text, verbosity)
	if err != nil {
		return err
	}
	reviews, err := read(in)
	if err != nil {
		return err
	}
	result := found{Version: version(), Denied: make([]string, len(reviews)), TimesNs: make([][]int64, len(reviews))}
	for i, review := range reviews { // and warm up
		if result.Denied[i], err = decide(handler, review); err != nil {
			return fmt.Errorf("review %d: %w", i, err)
		}
	}
	for range rounds {
		for _, i := range rand.Perm(len(reviews)) {
			result.TimesNs[i] = append(result.TimesNs[i], ask(handler, newRequest(reviews[i])).took.Nanoseconds())
		}
	}
	result.Allocs, result.ProcessorUs = costs(handler, reviews)
	return json.NewEncoder(out).Encode(result)
}

// read returns the reviews, one a line.
func read(in io.Reader) ([][]byte, error) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	var reviews [][]byte
	for lines.Scan() {
		reviews = append(reviews, bytes.Clone(lines.Bytes()))
	}
	return reviews, lines.Err()
}

// decide returns why the review was denied, or nothing. Kyverno denies what it cannot
// decide, too, in other words: that is an error.
func decide(handler http.Handler, body []byte) (denied string, err error) {
	a := ask(handler, newRequest(body))
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(a.body.Bytes(), &review); err != nil || review.Response == nil {
		return "", fmt.Errorf("code %d, %v: %s", a.code, err, &a.body)
	}
	if review.Response.Allowed {
		return "", nil
	}
	if review.Response.Result != nil {
		denied = review.Response.Result.Message
	}
	if !strings.Contains(denied, "was blocked due to the following policies") {
		return "", fmt.Errorf("denied otherwise than by a policy: %q", denied)
	}
	return denied, nil
}

// costs are the mean allocations and the mean processor time of a review, the request's
// own aside.
func costs(handler http.Handler, reviews [][]byte) (allocations, microseconds float64) {
	const passes = 5
	count := func(review func(*http.Request)) (allocations, microseconds float64) {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		began := processorTime()
		for range passes {
			for _, body := range reviews {
				review(newRequest(body))
			}
		}
		spent := processorTime() - began
		runtime.ReadMemStats(&after)
		n := float64(passes * len(reviews))
		return float64(after.Mallocs-before.Mallocs) / n, float64(spent.Nanoseconds()) / 1e3 / n
	}
	ownAllocations, ownTime := count(func(request *http.Request) { runtime.KeepAlive(newAnswer()) })
	allocations, microseconds = count(func(request *http.Request) { ask(handler, request) })
	return allocations - ownAllocations, microseconds - ownTime
}

// version is Kyverno's, that this program is built with.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "github.com/kyverno/kyverno" {
				return module.Version
			}
		}
	}
	return "of unknown version"
}

// processorTime is what this process has spent.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err) // of a bad argument only
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func newRequest(body []byte) *http.Request {
	request, err := http.NewRequest(http.MethodPost, "https://webhook.example/validate?timeout=10s", bytes.NewReader(body))
	if err != nil {
		panic(err) // it is always the same
	}
	request.Header.Set("Content-Type", "application/json")
	request.RemoteAddr = "127.0.0.1:40000"
	return request
}

// ask times the handler.
func ask(handler http.Handler, request *http.Request) *answer {
	a := newAnswer()
	began := time.Now()
	handler.ServeHTTP(a, request)
	a.took = time.Since(began)
	return a
}

// answer takes a handler's answer.
type answer struct {
	header http.Header
	code   int
	body   bytes.Buffer
	took   time.Duration
}

func newAnswer() *answer { return &answer{header: http.Header{}, code: http.StatusOK} }

func (a *answer) Header() http.Header            { return a.header }
func (a *answer) WriteHeader(code int)           { a.code = code }
func (a *answer) Write(data []byte) (int, error) { return a.body.Write(data) }
