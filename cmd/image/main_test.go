package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestChoose(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
		fail bool
	}{
		"none means all": {nil, "webhook firewall probe", false},
		"one":            {[]string{"firewall"}, "firewall", false},
		"unknown":        {[]string{"firewall", "frewall"}, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			chosen, err := choose(recipes(), test.args)
			if (err != nil) != test.fail {
				t.Fatalf("error %v, want one: %t", err, test.fail)
			}
			var names []string
			for _, r := range chosen {
				names = append(names, r.name)
			}
			if got := strings.Join(names, " "); got != test.want {
				t.Errorf("chose %q, want %q", got, test.want)
			}
		})
	}
}

// TestDockerfiles holds the Dockerfiles' last stage to the recipes: no daemon
// builds them here.
func TestDockerfiles(t *testing.T) {
	for _, r := range recipes() {
		t.Run(r.name, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join("..", r.binary(), "Dockerfile"))
			if err != nil {
				t.Fatal(err)
			}
			_, stage, found := strings.Cut(string(data), "\nFROM scratch\n")
			if !found {
				t.Fatal("the last stage is not FROM scratch")
			}
			want := "COPY --from=build /rootfs/" + r.name + " /\nUSER " + r.user + "\n"
			for _, variable := range r.environ {
				want += "ENV " + variable + "\n"
			}
			want += `ENTRYPOINT ["/` + r.binary() + "\"]\n"
			if stage != want {
				t.Errorf("the last stage is\n%swant\n%s", stage, want)
			}
		})
	}
}
