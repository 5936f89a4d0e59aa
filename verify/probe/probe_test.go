//go:build linux

package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// answers runs a command and reads its answers.
func answers(t *testing.T, args ...string) ([]Answer, error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if err := Run(t.Context(), args, &stdout, &stderr); err != nil {
		return nil, err
	}
	var read []Answer
	if err := json.Unmarshal(stdout.Bytes(), &read); err != nil {
		t.Fatalf("%v says %q: %v", args, stdout.String(), err)
	}
	return read, nil
}

// TestWhatIsNoAttemptIsAnError: a command that could not be tried must never look like one that was blocked.
func TestWhatIsNoAttemptIsAnError(t *testing.T) {
	for name, args := range map[string][]string{
		"nothing":             {},
		"unknown":             {"explode"},
		"unknown flag":        {"dial", "--hard", "127.0.0.1:1"},
		"no target":           {"dial"},
		"bad target":          {"send", "--token", "x", "nowhere:80"},
		"forge without from":  {"forge", "--token", "x", "172.16.1.2:80"},
		"freebind from IPv4":  {"send", "--token", "x", "--from", "172.16.1.2", "[fd00::1]:80"},
		"forge towards IPv6":  {"forge", "--token", "x", "--from", "172.16.1.2", "[fd00::1]:80"},
		"no server to ask":    {"seen", "--token", "x"},
		"nobody to flush":     {"flush", "--process", "/proc/self/nothing"},
		"block what is no IP": {"block", "alice"},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := answers(t, args...); err == nil {
				t.Errorf("%v: %v and no error", args, got)
			}
		})
	}
}

func TestDial(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, Greeting("alice")) }))
	defer server.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refusing := closed.Addr().String()
	closed.Close()

	got, err := answers(t, "dial", "--times", "3", strings.TrimPrefix(server.URL, "http://"), refusing)
	if err != nil {
		t.Fatal(err)
	}
	if got[0].Outcome != Reached || len(got[0].Said) != 1 || got[0].Said[0] != "what belongs to alice" {
		t.Errorf("a server: %v", got[0])
	}
	if got[1].Outcome != Blocked || got[1].Target != refusing || !strings.Contains(got[1].Detail, "refused") {
		t.Errorf("a closed port: %v", got[1])
	}
}

// TestJudge: what the network or the kernel did is an outcome, everything else an error.
func TestJudge(t *testing.T) {
	for name, test := range map[string]struct {
		err   error
		want  Outcome
		known bool
	}{
		"own firewall":  {&net.OpError{Err: os.NewSyscallError("sendto", unix.EPERM)}, Refused, true},
		"capability":    {fmt.Errorf("open a socket: %w", unix.EPERM), Refused, true},
		"silence":       {context.DeadlineExceeded, Blocked, true},
		"no route":      {os.NewSyscallError("connect", unix.ENETUNREACH), Blocked, true},
		"nobody there":  {os.NewSyscallError("connect", unix.ECONNREFUSED), Blocked, true},
		"out of memory": {os.NewSyscallError("socket", unix.ENOMEM), "", false},
		"no such file":  {os.ErrNotExist, "", false},
		"anything else": {errors.New("a fault of the probe"), "", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got, known := judge(test.err); got != test.want || known != test.known {
				t.Errorf("%q, %t", got, known)
			}
		})
	}
}

// TestEnterFindsTheVictim and not itself, whose command line holds the pattern too.
func TestEnterFindsTheVictim(t *testing.T) {
	folder := t.TempDir()
	write := func(process, line string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(folder, process), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, process, "cmdline"), []byte(line), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("1", "/bin/init\x00")
	write("2", "/bulkhead-probe\x00flush\x00--process\x00"+folder+"/victim\x00")
	if err := enter(folder + "/victim"); err == nil || !strings.Contains(err.Error(), "no process") {
		t.Errorf("without a victim: %v", err)
	}
	write("3", "/bulkhead-probe\x00serve\x00--name\x00a/victim\x00")
	if err := enter(folder + "/victim"); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "/3/ns/net") {
		t.Errorf("with a victim, which has no namespace here: %v", err)
	}
}

func TestNotesAreBounded(t *testing.T) {
	n := &notes{from: map[string]string{}}
	for i := range maximumNoted + 10 {
		n.add(fmt.Sprint(i), "somebody")
	}
	if len(n.from) != maximumNoted {
		t.Errorf("%d payloads are noted", len(n.from))
	}
	if _, ok := n.get("0"); !ok {
		t.Error("the first one is forgotten")
	}
}
