package verify

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
	utilexec "k8s.io/client-go/util/exec"
	"k8s.io/streaming/pkg/httpstream"

	"github.com/bulkhead-dev/bulkhead/verify/probe"
)

const (
	// Ports of the Services; behind them are the probe's ServicePort and ReadyPort.
	servicePort, readyPort = 80, 81

	liveTimeout = 30 * time.Second
	// controlTimeout is how long what must get through may take to: kube-proxy hears of a new Service a moment later, and
	// a firewall of its peers up to a lease later, where addresses have just changed hands or the webhook has just begun.
	controlTimeout = 45 * time.Second
)

// probe runs a command of the probe in a container.
func (r *run) probe(ctx context.Context, p *pod, container string, command ...string) ([]probe.Answer, error) {
	stdout, err := r.exec(ctx, p, container, append([]string{probe.Path}, command...))
	if err != nil {
		return nil, fmt.Errorf("run the probe in %s/%s: %s: %w", p.Namespace, p.Name, strings.Join(command, " "), err)
	}
	return parseAnswers(stdout)
}

func parseAnswers(stdout []byte) ([]probe.Answer, error) {
	var answers []probe.Answer
	if err := json.Unmarshal(stdout, &answers); err != nil || len(answers) == 0 {
		return nil, fmt.Errorf("the probe said %q, which is no answer: %w", stdout, errors.Join(err))
	}
	return answers, nil
}

// exec runs a command as `kubectl exec` does, which must succeed.
func (r *run) exec(ctx context.Context, p *pod, container string, command []string) ([]byte, error) {
	request := r.client.CoreV1().RESTClient().Post().Resource("pods").Namespace(p.Namespace).Name(p.Name).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Container: container, Command: command, Stdout: true, Stderr: true}, scheme.ParameterCodec)
	executor, err := r.executor(request.URL())
	if err != nil {
		return nil, err
	}
	var stdout, stderr bytes.Buffer
	err = executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &stdout, Stderr: &stderr})
	if exit := (utilexec.CodeExitError{}); errors.As(err, &exit) {
		return nil, fmt.Errorf("it ended with %d: %s", exit.Code, strings.TrimSpace(stderr.String()))
	}
	return stdout.Bytes(), err
}

// executor talks by WebSocket, or where a proxy on the way does not pass that by SPDY, as kubectl does.
func (r *run) executor(address *url.URL) (remotecommand.Executor, error) {
	socket, err := remotecommand.NewWebSocketExecutor(r.config, http.MethodGet, address.String())
	if err != nil {
		return nil, err
	}
	older, err := remotecommand.NewSPDYExecutor(r.config, http.MethodPost, address)
	if err != nil {
		return nil, err
	}
	return remotecommand.NewFallbackExecutor(socket, older, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
}

// targets are a pod's addresses with a port.
func (p *pod) targets(port int) []string { return targets(p.addresses, port) }

func targets(addresses []netip.Addr, port int) []string {
	var all []string
	for _, address := range addresses {
		all = append(all, netip.AddrPortFrom(address, uint16(port)).String())
	}
	return all
}

// only are those of a list for which something holds, such as the addresses of one family.
func only[T any](all []T, holds func(T) bool) []T {
	return slices.DeleteFunc(slices.Clone(all), func(one T) bool { return !holds(one) })
}

// dial lets a pod fetch from targets.
func (s *stage) dial(ctx context.Context, from *pod, targets []string) ([]probe.Answer, error) {
	return s.probe(ctx, from, app, append([]string{"dial"}, targets...)...)
}

// mustReach is a control: it waits until a pod has reached every target.
func (s *stage) mustReach(ctx context.Context, from *pod, targets []string) error {
	err := s.eventually(ctx, func() error {
		answers, err := s.dial(ctx, from, targets)
		if err == nil && !allReached(answers) {
			err = errors.New(say(answers))
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("control: %s/%s must reach %v and does not: %w", from.Namespace, from.Name, targets, err)
	}
	return nil
}

// eventually repeats what must succeed a moment after its cause.
func (s *stage) eventually(ctx context.Context, f func() error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, controlTimeout, fmt.Errorf("not within %s", controlTimeout))
	defer cancel()
	return poll(ctx, f)
}

// attack lets a pod try to fetch from targets.
func (s *stage) attack(ctx context.Context, from *pod, targets []string) (Outcome, string, error) {
	answers, err := s.dial(ctx, from, targets)
	if err != nil {
		return "", "", err
	}
	return s.outcome(answers), fmt.Sprintf("%s/%s: %s", from.Namespace, from.Name, say(answers)), nil
}

// outcome sums up an attempt at several targets: with Bulkhead one that is reached is one too many, without it an
// attack that works at some only does not work.
func (s *stage) outcome(answers []probe.Answer) Outcome {
	if allReached(answers) || s.protected && anyReached(answers) {
		return Reached
	}
	return Blocked
}

func allReached(answers []probe.Answer) bool {
	return !slices.ContainsFunc(answers, func(a probe.Answer) bool { return a.Outcome != probe.Reached })
}

func anyReached(answers []probe.Answer) bool {
	return slices.ContainsFunc(answers, func(a probe.Answer) bool { return a.Outcome == probe.Reached })
}

// refusedBySender tells whether the sender's own kernel refused at every target.
func refusedBySender(answers []probe.Answer) bool {
	return !slices.ContainsFunc(answers, func(a probe.Answer) bool { return a.Outcome != probe.Refused })
}

func say(answers []probe.Answer) string {
	var parts []string
	for _, answer := range answers {
		parts = append(parts, answer.String())
	}
	return strings.Join(parts, ", ")
}

// packet lets a pod send by one of the probe's commands to addresses of a pod, each under a payload of its own, and
// asks the receiver what arrived. An answer of Refused stays: the sender's kernel took nothing.
func (s *stage) packet(ctx context.Context, from *pod, command []string, to *pod, addresses []netip.Addr, port int) ([]probe.Answer, error) {
	var all []probe.Answer
	for _, target := range targets(addresses, port) {
		token := rand.Text()
		sent, err := s.probe(ctx, from, app, slices.Concat(command, []string{"--token", token, target})...)
		if err != nil {
			return nil, err
		}
		answer := sent[0]
		if answer.Outcome == probe.Reached {
			arrived, err := s.probe(ctx, to, app, "seen", "--within", silence.String(), "--token", token)
			if err != nil {
				return nil, err
			}
			answer.Outcome, answer.Detail = arrived[0].Outcome, arrived[0].Detail
		}
		all = append(all, answer)
	}
	return all, nil
}

// silence is how long nothing must arrive after the last packet to call it stopped.
const silence = 500 * time.Millisecond

// mustArrive is the control of packet: what one of the receiver's own tenant sends arrives.
func (s *stage) mustArrive(ctx context.Context, from, to *pod, addresses []netip.Addr, port int) error {
	answers, err := s.packet(ctx, from, []string{"send"}, to, addresses, port)
	if err == nil && !allReached(answers) {
		err = errors.New(say(answers))
	}
	if err != nil {
		return fmt.Errorf("control: UDP of %s/%s must arrive at %v port %s and does not: %w", from.Namespace, from.Name, addresses, strconv.Itoa(port), err)
	}
	return nil
}
