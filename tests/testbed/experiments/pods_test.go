package experiments

import (
	"testing"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/cluster"
)

func TestManifests(t *testing.T) {
	for _, manifest := range append(attackers(), "server", "client") {
		p, err := pod(bob, manifest, withThesisFirewall("172.16.2.0/24", "172.16.0.0/16"))
		if err != nil {
			t.Fatal(err)
		}
		if p.Namespace != bob || p.Spec.Containers[0].Name != app {
			t.Errorf("%s: namespace %s, first container %s", manifest, p.Namespace, p.Spec.Containers[0].Name)
		}
	}
}

func TestIsNoConnection(t *testing.T) {
	tests := map[string]struct {
		result cluster.ExecResult
		want   bool
	}{
		"dropped: timeout ends wget": {cluster.ExecResult{ExitCode: 143}, true},
		"rejected":                   {cluster.ExecResult{ExitCode: 1, Stderr: "wget: can't connect to remote host (172.16.1.2): Connection refused"}, true},
		"no wget in the image":       {cluster.ExecResult{ExitCode: 127, Stderr: "timeout: can't execute '/bin/wget'"}, false},
		"the server is broken":       {cluster.ExecResult{ExitCode: 1, Stderr: "wget: server returned error: HTTP/1.1 404 Not Found"}, false},
		"wget crashed":               {cluster.ExecResult{ExitCode: 139}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := isNoConnection(test.result); got != test.want {
				t.Errorf("got %t, want %t", got, test.want)
			}
		})
	}
}
