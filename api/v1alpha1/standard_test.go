package v1alpha1

import "testing"

func TestStricter(t *testing.T) {
	standard := func(level Level, version string) Standard { return Standard{level, version} }
	for name, test := range map[string]struct{ a, b, want Standard }{
		"the same":             {standard(Baseline, "latest"), standard(Baseline, "latest"), standard(Baseline, "latest")},
		"by level":             {standard(Baseline, "latest"), standard(Restricted, "latest"), standard(Restricted, "latest")},
		"by version":           {standard(Baseline, "v1.9"), standard(Baseline, "v1.10"), standard(Baseline, "v1.10")},
		"latest is newest":     {standard(Baseline, "v1.999"), standard(Baseline, "latest"), standard(Baseline, "latest")},
		"an old strict level":  {standard(Baseline, "latest"), standard(Restricted, "v1.0"), standard(Restricted, "latest")},
		"privileged has none":  {standard(Privileged, "latest"), standard(Baseline, "v1.0"), standard(Baseline, "v1.0")},
		"both are privileged":  {standard(Privileged, "v1.0"), standard(Privileged, "v1.0"), standard(Privileged, "v1.0")},
		"a strict old version": {standard(Restricted, "v1.8"), standard(Baseline, "v1.34"), standard(Restricted, "v1.34")},
	} {
		t.Run(name, func(t *testing.T) {
			for _, got := range []Standard{Stricter(test.a, test.b), Stricter(test.b, test.a)} {
				if got != test.want {
					t.Errorf("got %s, want %s", got, test.want)
				}
			}
		})
	}
}

func TestParseVersion(t *testing.T) {
	for text, want := range map[string]int{"latest": -1, "v1.0": 0, "v1.37": 37, "v1.99999": 99999} {
		if got, err := ParseVersion(text); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "1.25", "v1", "v1.", "v2.0", "v1.01", "v1.-1", "v1.25.3", "Latest", "v1.99999999999999999999"} {
		if _, err := ParseVersion(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestParseLevel(t *testing.T) {
	for _, text := range []string{"privileged", "baseline", "restricted"} {
		if level, err := ParseLevel(text); err != nil || string(level) != text {
			t.Errorf("%s: %s, %v", text, level, err)
		}
	}
	if _, err := ParseLevel("Baseline"); err == nil {
		t.Error("another case is accepted")
	}
}
