package main

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/bulkhead-dev/bulkhead/verify"
)

// parse reads flags as the command does.
func parse(args ...string) (verify.Options, error) {
	f := verifyFlags{options: verify.NewOptions()}
	flags := pflag.NewFlagSet("verify", pflag.ContinueOnError)
	f.addFlags(flags)
	if err := flags.Parse(args); err != nil {
		return verify.Options{}, err
	}
	return f.options, f.complete()
}

func TestVerifyFlags(t *testing.T) {
	got, err := parse("--cidrs-a", "172.16.3.0/24,fd00:3::/64", "--cidrs-b=172.16.4.0/24",
		"--annotate-a", `cni.projectcalico.org/ipv4pools=["a,b"]`, "--annotate-a", "x=y=z", "--checks", "P4,D1", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"cni.projectcalico.org/ipv4pools": `["a,b"]`, "x": "y=z"}
	if diff := cmp.Diff(want, got.A.Annotations); diff != "" {
		t.Error("annotations (-want +got):\n", diff)
	}
	prefixes := []netip.Prefix{netip.MustParsePrefix("172.16.3.0/24"), netip.MustParsePrefix("fd00:3::/64")}
	if len(got.A.CIDRs) != 2 || got.A.CIDRs[0] != prefixes[0] || got.A.CIDRs[1] != prefixes[1] {
		t.Errorf("ranges of A: %v", got.A.CIDRs)
	}
	if diff := cmp.Diff([]string{"P4", "D1"}, got.Checks); diff != "" {
		t.Error("checks (-want +got):\n", diff)
	}
}

func TestVerifyFlagsThatAreWrong(t *testing.T) {
	right := []string{"--cidrs-a", "172.16.3.0/24", "--cidrs-b", "172.16.4.0/24"}
	for name, test := range map[string]struct {
		args []string
		want []string // parts of the error
	}{
		"one side's":      {[]string{"--cidrs-a", "172.16.3.0/24"}, []string{"--cidrs-a", "--cidrs-b"}},
		"no range":        {[]string{"--cidrs-a", "172.16.3.0", "--cidrs-b", "172.16.4.0/24"}, []string{"--cidrs-a"}},
		"not an address":  {[]string{"--cidrs-a", "172.16.300.0/25", "--cidrs-b", "172.16.4.0/24"}, []string{`--cidrs-a: "172.16.300.0/25" is not a CIDR, e.g. 172.16.3.0/24`}},
		"host bits":       {[]string{"--cidrs-a", "172.16.3.7/24", "--cidrs-b", "172.16.4.0/24"}, []string{"is 172.16.3.0/24 meant?"}},
		"output":          {append(right, "-o", "yaml"), []string{"--output yaml"}},
		"annotation":      {append(right, "--annotate-b", "novalue"), []string{"--annotate-b novalue", "key=value"}},
		"several at once": {[]string{"-o", "yaml", "--cidrs-a", "x"}, []string{"--output", "--cidrs-a"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse(test.args...)
			if err == nil {
				t.Fatal("no error")
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q says nothing of %q", err, part)
				}
			}
		})
	}
}

// TestPluginIsCalledAsItIsTyped: kubectl's plugins show their users what these type.
func TestPluginIsCalledAsItIsTyped(t *testing.T) {
	for program, want := range map[string]string{
		"bulkhead":         "Usage:\n  bulkhead verify ",
		"kubectl-bulkhead": "Usage:\n  kubectl bulkhead verify ",
	} {
		var out bytes.Buffer
		command := newCommand(program)
		command.SetOut(&out)
		command.SetArgs([]string{"verify", "--help"})
		if err := command.Execute(); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s: the help says\n%s", program, out.String())
		}
	}
}

func TestNoClusterIsAnError(t *testing.T) {
	t.Setenv("KUBECONFIG", t.TempDir()+"/none")
	t.Setenv("HOME", t.TempDir())
	command := newCommand("bulkhead")
	var out bytes.Buffer
	command.SetOut(&out)
	command.SetErr(&out)
	command.SetArgs([]string{"verify", "--baseline"})
	if err := command.Execute(); err == nil || !strings.Contains(err.Error(), "kubeconfig") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// TestUnknownFlagPointsToTheHelp, by the name that was typed.
func TestUnknownFlagPointsToTheHelp(t *testing.T) {
	command := newCommand("kubectl-bulkhead")
	command.SetArgs([]string{"verify", "--cidr", "172.16.3.0/24"})
	if err := command.Execute(); err == nil || !strings.Contains(err.Error(), "unknown flag: --cidr; see kubectl bulkhead verify --help") {
		t.Error(err)
	}
}

func TestUnknownCommandPointsToTheHelp(t *testing.T) {
	for typed, want := range map[string]string{
		"foo":    `unknown command "foo"; see bulkhead --help`,
		"verfiy": `unknown command "verfiy" (is verify meant?); see bulkhead --help`,
	} {
		command := newCommand("bulkhead")
		command.SetArgs([]string{typed})
		if err := command.Execute(); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", typed, err, want)
		}
	}
}
