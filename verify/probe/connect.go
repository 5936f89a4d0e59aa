//go:build linux

package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// dial fetches from every target by new connections. One that answers is enough to have reached it.
func dial(ctx context.Context, a attempt, targets []string) ([]Answer, error) {
	return each(targets, func(target string) (Answer, error) {
		type result struct {
			said string
			err  error
		}
		results := make(chan result)
		for range a.times {
			go func() {
				said, err := fetch(ctx, "http://"+target+"/", a.within)
				results <- result{said, err}
			}()
		}
		answer := Answer{Outcome: Blocked}
		for range a.times {
			r := <-results
			if r.err == nil {
				answer.Outcome = Reached
				answer.Said = append(answer.Said, r.said)
			} else if outcome, known := judge(r.err); known {
				answer.Detail = reason(r.err, a.within)
				if answer.Outcome == Blocked {
					answer.Outcome = outcome
				}
			} else {
				return Answer{}, r.err
			}
		}
		slices.Sort(answer.Said)
		answer.Said = slices.Compact(answer.Said)
		return answer, nil
	})
}

// fetch gets what a server says, over a connection of its own.
func fetch(ctx context.Context, address string, within time.Duration) (string, error) {
	client := &http.Client{Timeout: within, Transport: &http.Transport{DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 256))
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(body)), nil
}

// judge tells what a failed attempt came to, if the network or the kernel failed it.
func judge(err error) (outcome Outcome, known bool) {
	for _, kind := range []error{unix.EPERM, unix.EACCES} {
		if errors.Is(err, kind) {
			return Refused, true
		}
	}
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		return Blocked, true
	}
	for _, kind := range []error{
		unix.ECONNREFUSED, unix.ECONNRESET, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EADDRNOTAVAIL,
		unix.EINVAL, unix.EMSGSIZE, os.ErrDeadlineExceeded, io.EOF, io.ErrUnexpectedEOF,
	} {
		if errors.Is(err, kind) {
			return Blocked, true
		}
	}
	return "", false
}

// reason is an error for a person.
func reason(err error, within time.Duration) string {
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Sprintf("no answer in %s", within)
	}
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return err.Error()
}

// seen asks the server of this pod, again and again until the time is over.
func seen(ctx context.Context, a attempt, _ []string) ([]Answer, error) {
	deadline := time.Now().Add(a.within)
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet,
			fmt.Sprintf("http://127.0.0.1:%d/?token=%s", controlPort, url.QueryEscape(a.token)), nil)
		if err != nil {
			return nil, err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return nil, fmt.Errorf("ask this pod's server: %w", err)
		}
		from, err := io.ReadAll(io.LimitReader(response.Body, 256))
		_ = response.Body.Close()
		if err != nil {
			return nil, err
		}
		if response.StatusCode == http.StatusOK {
			return []Answer{{Outcome: Reached, Detail: "from " + string(from)}}, nil
		}
		if time.Now().After(deadline) {
			return []Answer{{Outcome: Blocked}}, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// resolve asks the resolvers of /etc/resolv.conf.
func resolve(ctx context.Context, a attempt, names []string) ([]Answer, error) {
	return each(names, func(name string) (Answer, error) {
		ctx, cancel := context.WithTimeout(ctx, a.within)
		defer cancel()
		found, err := net.DefaultResolver.LookupHost(ctx, name)
		if err != nil {
			return Answer{Outcome: Blocked, Detail: err.Error()}, nil
		}
		slices.Sort(found)
		return Answer{Outcome: Reached, Said: found}, nil
	})
}

// addresses lists the global addresses of this pod, one answer an interface.
func addresses(context.Context, attempt, []string) ([]Answer, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var answers []Answer
	for _, i := range interfaces {
		if i.Flags&net.FlagLoopback != 0 {
			continue
		}
		all, err := i.Addrs()
		if err != nil {
			return nil, err
		}
		answer := Answer{Target: i.Name, Outcome: Reached}
		for _, address := range all {
			if prefix, ok := address.(*net.IPNet); ok && prefix.IP.IsGlobalUnicast() {
				answer.Said = append(answer.Said, prefix.IP.String())
			}
		}
		if len(answer.Said) > 0 {
			answers = append(answers, answer)
		}
	}
	return answers, nil
}
