//go:build linux

package apply

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
)

// TestExitCodeOneIsNotAbsent: iptables ends with 1 for "no such chain" and for
// most failures alike, and go-iptables takes it for the former. Neither a failing
// tool nor one that says nothing may pass for an empty table.
func TestExitCodeOneIsNotAbsent(t *testing.T) {
	cases := map[string]struct{ script, want string }{
		"fails silently":  {`exit 1`, "list the filter table"},
		"fails and says":  {`echo "iptables: No chain/target/match by that name." >&2; exit 1`, "No chain/target/match"},
		"says nothing":    {`exit 0`, "no chain INPUT"},
		"killed half way": {`echo "-P INPUT DROP"; kill -9 $$`, "exit status -1"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			tool(t, "iptables-nft", test.script)
			tables, err := openTable(NFTables, rules.IPv4)
			if err != nil {
				t.Fatal(err)
			}
			lines, err := tables.List()
			if err == nil {
				_, err = parseListing(lines)
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestRestoreSaysWhatTheToolSaid(t *testing.T) {
	tool(t, "iptables-nft", `echo "line 3: RULE_APPEND failed" >&2; exit 4`)
	tables, err := openTable(NFTables, rules.IPv4)
	if err != nil {
		t.Fatal(err)
	}
	err = tables.Restore(context.Background(), "*filter\nCOMMIT\n")
	if err == nil || !strings.Contains(err.Error(), "line 3: RULE_APPEND failed") {
		t.Errorf("got %v", err)
	}
}

func TestOpenNamesTheMissingTool(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := Open(NFTables, true); err == nil || !strings.Contains(err.Error(), "find iptables-nft") {
		t.Errorf("iptables: got %v", err)
	}
	tool(t, "iptables-nft", "exit 0")
	if _, err := Open(NFTables, true); err == nil || !strings.Contains(err.Error(), "find ip6tables-nft") {
		t.Errorf("ip6tables: got %v", err)
	}
}

// tool puts a script in place of a tool and of its restore into a PATH of their
// own; it answers --version by itself.
func tool(t *testing.T, name, script string) {
	t.Helper()
	dir := t.TempDir()
	text := "#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'iptables v1.8.9 (nf_tables)'; exit 0; fi\n" + script + "\n"
	for _, file := range []string{name, name + "-restore"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
}
