package rego

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// version is the N of Kubernetes v1.N.
type version int

// latest is newer than every version.
const latest version = math.MaxInt

// parseVersion reads "v1.N" or "latest", as k8s.io/pod-security-admission does.
func parseVersion(text string) (version, error) {
	if text == Latest {
		return latest, nil
	}
	digits, _ := strings.CutPrefix(text, "v1.")
	minor, err := strconv.Atoi(digits)
	if err != nil || minor < 0 || text != "v1."+strconv.Itoa(minor) {
		return 0, fmt.Errorf(`version %q is neither "latest" nor "v1.x"`, text)
	}
	return version(minor), nil
}

// standard is a parsed Level. The zero value asks for nothing.
type standard struct {
	level   string
	version version
}

func (l Level) standard() (standard, error) {
	switch l.Name {
	case Privileged, Baseline, Restricted:
	default:
		return standard{}, fmt.Errorf("level %q is none of %s, %s and %s", l.Name, Privileged, Baseline, Restricted)
	}
	version, err := parseVersion(l.Version)
	return standard{l.Name, version}, err
}

// includes tells whether rules of a level count.
func (s standard) includes(level string) bool {
	switch s.level {
	case Restricted:
		return level == Restricted || level == Baseline
	case Baseline:
		return level == Baseline
	default:
		return false
	}
}

// span is the versions from since on, before until. The zero until is no end.
type span struct {
	since, until version
}

func (s span) includes(v version) bool {
	return s.since <= v && (s.until == 0 || v < s.until)
}

// parseSpan reads the two ends, either of which may be empty.
func parseSpan(since, until string) (span, error) {
	var parsed span
	var err error
	if since != "" {
		if parsed.since, err = parseVersion(since); err != nil {
			return span{}, fmt.Errorf("since: %w", err)
		}
	}
	if until != "" {
		if parsed.until, err = parseVersion(until); err != nil {
			return span{}, fmt.Errorf("until: %w", err)
		}
	}
	return parsed, nil
}
