//go:build linux

package netns

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bulkhead-dev/bulkhead/sidecar/config"
)

// command is the sidecar as it runs in a pod: root with two capabilities, no way
// to more, and its configuration. It must be started in the pod's namespace.
func command(t testing.TB, c *config.Config, subcommand string) *exec.Cmd {
	t.Helper()
	text, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("setpriv", "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all,+net_admin,+net_raw", built, subcommand, "--outside-a-pod")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), config.EnvVar + "=" + text}
	if c.Addressing == config.Identity {
		return bearing(cmd, c.Tenant)
	}
	return cmd
}

// protect runs bulkhead-init.
func (p *pod) protect(t testing.TB, c *config.Config) {
	t.Helper()
	if out, err := p.init(t, c); err != nil {
		t.Fatalf("protect %s: %v\n%s", p.Name, err, out)
	}
}

func (p *pod) init(t testing.TB, c *config.Config) (string, error) {
	t.Helper()
	var out []byte
	err := p.Do(func() (err error) {
		out, err = command(t, c, "init").CombinedOutput()
		return err
	})
	return string(out), err
}

// sidecar is a running bulkhead-firewall.
type sidecar struct {
	cmd *exec.Cmd
	// lines are what it logs.
	lines chan string
	done  chan error
}

// run starts bulkhead-firewall and waits until the rules are in place.
func (p *pod) run(t testing.TB, c *config.Config) *sidecar {
	t.Helper()
	s := &sidecar{lines: make(chan string, 1000), done: make(chan error, 1)}
	s.cmd = command(t, c, "run")
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.must(t, s.cmd.Start)
	go s.read(stderr)
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-s.done
	})
	return s
}

func (s *sidecar) read(stderr io.Reader) {
	scanner := bufio.NewScanner(stderr)
	for scanner.Scan() {
		s.lines <- scanner.Text()
	}
	close(s.lines)
	s.done <- s.cmd.Wait()
	close(s.done)
}

// says waits for a line that has all the words. On a machine that does much else the
// sidecar looks at its sets more rarely (run.Firewall.Interval), so it is patient.
func (s *sidecar) says(t testing.TB, words ...string) string {
	t.Helper()
	deadline := time.After(time.Minute)
	var seen bytes.Buffer
	for {
		select {
		case line, open := <-s.lines:
			if !open {
				t.Fatalf("the sidecar ended without saying %q:\n%s", words, &seen)
			}
			seen.WriteString(line + "\n")
			if !has(line, words) {
				continue
			}
			return line
		case <-deadline:
			t.Fatalf("the sidecar does not say %q but:\n%s", words, &seen)
		}
	}
}

// ends sends a signal and returns how the sidecar ended.
func (s *sidecar) ends(t testing.TB, signal syscall.Signal) error {
	t.Helper()
	if err := s.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-s.done:
		return err
	case <-time.After(15 * time.Second):
		t.Fatalf("the sidecar does not end on %v", signal)
		return nil
	}
}

func has(line string, words []string) bool {
	for _, word := range words {
		if !strings.Contains(line, word) {
			return false
		}
	}
	return true
}
