//go:build linux

package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestUsage(t *testing.T) {
	cases := map[string]struct {
		args           []string
		status         int
		stdout, stderr string
	}{
		"nothing":            {nil, 2, "", "Usage:"},
		"help":               {[]string{"--help"}, 0, "Usage:", ""},
		"version":            {[]string{"version"}, 0, "devel", ""},
		"unknown command":    {[]string{"start"}, 2, "", `unknown command "start"`},
		"unknown flag":       {[]string{"--once"}, 2, "", `unknown command "--once"`},
		"argument too much":  {[]string{"init", "now"}, 2, "", "Usage:"},
		"init outside a pod": {[]string{"init"}, 2, "", "not the first process of a container"},
		"run outside a pod":  {[]string{"run"}, 2, "", "not the first process of a container"},
		"flag after command": {[]string{"run", "--help"}, 2, "", "Usage:"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if status := start(test.args, &stdout, &stderr); status != test.status {
				t.Errorf("exit status %d, want %d", status, test.status)
			}
			if !strings.Contains(stdout.String(), test.stdout) || (test.stdout == "") != (stdout.Len() == 0) {
				t.Errorf("stdout %q, want %q in it", stdout.String(), test.stdout)
			}
			if !strings.Contains(stderr.String(), test.stderr) || (test.stderr == "") != (stderr.Len() == 0) {
				t.Errorf("stderr %q, want %q in it", stderr.String(), test.stderr)
			}
		})
	}
}
