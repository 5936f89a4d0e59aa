package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func TestProbeImage(t *testing.T) {
	firewallRecipe(t) // skips where its tools, which are this image's too, are missing
	chosen, err := choose(recipes(), []string{"probe"})
	if err != nil {
		t.Fatal(err)
	}
	img, files := readArchive(t, buildArchive(t, chosen[0], t.TempDir()))

	testConfiguration(t, img, v1.Config{Entrypoint: []string{"/bulkhead-probe"}, User: "0:0", Env: []string{"PATH=/usr/sbin"}})
	testPrograms(t, files, "/bulkhead-probe", "/usr/sbin/xtables-legacy-multi", "/usr/sbin/xtables-nft-multi")
	t.Run("runs", func(t *testing.T) { testProbeRuns(t, files) })
}

// testProbeRuns sets a rule and flushes it with nothing but what is in the image.
func testProbeRuns(t *testing.T, files rootfs) {
	if os.Geteuid() != 0 {
		t.Skip("not root: cannot change the root directory")
	}
	root := filepath.Join(t.TempDir(), "root")
	if err := files.writeDirectory(root); err != nil {
		t.Fatal(err)
	}
	addNull(t, root)
	enterPod(t)

	rules := func() (count int) {
		t.Helper()
		for _, save := range []string{"iptables-save", "ip6tables-save"} {
			out, err := chroot(t, root, nil, filepath.Join(sbin, save))
			if err != nil {
				t.Fatalf("%s: %v\n%s", save, err, out)
			}
			count += strings.Count(out, "-A ")
		}
		return count
	}
	for _, step := range []struct {
		args []string
		left int
	}{
		{[]string{"block", "172.16.2.2", "fd00:2::2"}, 4},
		{[]string{"flush"}, 0},
	} {
		out, err := chroot(t, root, nil, append([]string{"/bulkhead-probe"}, step.args...)...)
		if err != nil || !strings.Contains(out, `"reached"`) {
			t.Fatalf("%v: %v\n%s", step.args, err, out)
		}
		if have := rules(); have != step.left {
			t.Errorf("%d rules after %v, want %d", have, step.args, step.left)
		}
	}
}
