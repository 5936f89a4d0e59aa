package v1alpha1

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
)

// Standard is a level of the Pod Security Standards in a version.
type Standard struct {
	Level Level
	// Version is VersionLatest or v1.N.
	Version string
}

// String writes it as Kubernetes' own PodSecurity plugin does: baseline:v1.25.
func (s Standard) String() string { return string(s.Level) + ":" + s.Version }

var minorVersion = regexp.MustCompile(`^v1\.(0|[1-9][0-9]*)$`)

// ParseVersion returns the minor version, of which VersionLatest has none: -1.
func ParseVersion(version string) (minor int, err error) {
	if version == VersionLatest {
		return -1, nil
	}
	if !minorVersion.MatchString(version) {
		return 0, errors.New(`must be "latest" or "v1.x"`)
	}
	return strconv.Atoi(strings.TrimPrefix(version, "v1."))
}

// ParseLevel reads a level.
func ParseLevel(text string) (Level, error) {
	switch level := Level(text); level {
	case Privileged, Baseline, Restricted:
		return level, nil
	}
	return "", errors.New("must be one of privileged, baseline, restricted")
}

// Stricter returns a standard that is as strict as both: the stricter level in the
// newer version. Level and version are compared apart, since an old version of a
// strict level lacks what a newer one of a loose level refuses. Both must be valid.
func Stricter(a, b Standard) Standard {
	if a.Level == Privileged {
		return b
	}
	if b.Level == Privileged {
		return a
	}
	if b.Level == Restricted {
		a.Level = Restricted
	}
	if newer(b.Version, a.Version) {
		a.Version = b.Version
	}
	return a
}

func newer(a, b string) bool {
	minorA, _ := ParseVersion(a)
	minorB, _ := ParseVersion(b)
	return minorB >= 0 && (minorA < 0 || minorA > minorB)
}
