//go:build linux

package probe

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// command is one attempt. Its flags are read into attempt; the rest of the arguments are its targets.
type command struct {
	name, arguments, help string
	run                   func(context.Context, attempt, []string) ([]Answer, error)
}

// attempt holds the flags of all commands; each uses some.
type attempt struct {
	name    string        // of the server
	from    string        // forged source
	token   string        // payload to recognise
	within  time.Duration // patience
	times   int           // connections to open at once
	raw     int           // IP protocol
	process string        // of other namespaces: a proc file system, and a part of the command line
}

func commands() []command {
	return []command{
		{"serve", "--name NAME", "serve and note what arrives, until SIGTERM", serve},
		{"idle", "", "do nothing, until SIGTERM", idle},
		{"dial", "HOST:PORT…", "fetch by HTTP, --times at once from each", dial},
		{"send", "--token T [--from ADDRESS] ADDRESS:PORT…", "send UDP; with --from under that IPv6 address, by IPV6_FREEBIND", send},
		{"forge", "--token T --from ADDRESS ADDRESS:PORT…", "send UDP over IPv4 under another's address, by a raw socket", forge},
		{"frame", "--token T ADDRESS:PORT…", "send UDP over IPv4 past netfilter, by a packet socket", frame},
		{"raw", "--protocol N ADDRESS…", "send a packet of an IP protocol, by a raw socket", raw},
		{"seen", "--token T", "ask this pod's server whether a payload arrived", seen},
		{"resolve", "NAME…", "ask the cluster's DNS", resolve},
		{"addresses", "", "list the addresses of this pod's interfaces but lo", addresses},
		{"block", "ADDRESS…", "add firewall rules against addresses, both directions", block},
		{"flush", "[--process DIR/PATTERN]", "flush the firewall of this network namespace, or of a process' in a proc file system", flush},
	}
}

// Run runs the command that the arguments name. Errors are the caller's or the machine's; what an attempt came to is
// printed, never an error.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	all := commands()
	if len(args) == 0 {
		return errors.New("which command? " + usage(all))
	}
	if slices.Contains([]string{"help", "-h", "--help"}, args[0]) {
		_, err := fmt.Fprintln(stdout, usage(all))
		return err
	}
	index := slices.IndexFunc(all, func(c command) bool { return c.name == args[0] })
	if index < 0 {
		return fmt.Errorf("unknown command %q; %s", args[0], usage(all))
	}
	var a attempt
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&a.name, "name", "", "what the server calls itself")
	flags.StringVar(&a.from, "from", "", "address to pretend to have")
	flags.StringVar(&a.token, "token", "", "payload to recognise")
	flags.DurationVar(&a.within, "within", 2*time.Second, "how long to try")
	flags.IntVar(&a.times, "times", 1, "connections to open at once")
	flags.IntVar(&a.raw, "protocol", 0, "number of an IP protocol")
	flags.StringVar(&a.process, "process", "", "a proc file system and a part of a command line, separated by the last slash")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	answers, err := all[index].run(ctx, a, flags.Args())
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return json.NewEncoder(stdout).Encode(answers)
}

func usage(all []command) string {
	var text strings.Builder
	text.WriteString("usage: bulkhead-probe COMMAND [flags] [targets]\n")
	for _, c := range all {
		fmt.Fprintf(&text, "\n  %-10s %s\n             %s", c.name, c.arguments, c.help)
	}
	return text.String()
}

// each makes an attempt at every target at once, so that silence costs its time once.
func each(targets []string, try func(target string) (Answer, error)) ([]Answer, error) {
	if len(targets) == 0 {
		return nil, errors.New("no targets")
	}
	answers, errs := make([]Answer, len(targets)), make([]error, len(targets))
	done := make(chan struct{})
	for i, target := range targets {
		go func() {
			answers[i], errs[i] = try(target)
			answers[i].Target = target
			done <- struct{}{}
		}()
	}
	for range targets {
		<-done
	}
	return answers, errors.Join(errs...)
}
