package protocol

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Validate says what is wrong with the first record that is not within the bounds.
// Unknown kinds are no error, a newer sidecar may have them: see Known.
func (r *Report) Validate() error {
	if len(r.Records) > MaxRecords {
		return fmt.Errorf("records: %d are more than %d", len(r.Records), MaxRecords)
	}
	for i, record := range r.Records {
		if err := record.validate(); err != nil {
			return fmt.Errorf("records[%d]: %w", i, err)
		}
	}
	return nil
}

func (r Record) validate() error {
	set := 0
	var err error
	if t := r.Tampering; t != nil {
		set++
		err = errors.Join(validDetail(t.Detail), validDuration("guardedNanoseconds", t.Guarded, MaxDuration), validDuration("wholeNanoseconds", t.Whole, MaxDuration))
	}
	if f := r.Failure; f != nil {
		set++
		err = errors.Join(err, validDetail(f.Detail))
	}
	if d := r.Drops; d != nil {
		set++
		err = errors.Join(err, d.validate())
	}
	if l := r.Lapse; l != nil {
		set++
		err = errors.Join(err, validDuration("durationNanoseconds", l.Duration, MaxLapse))
	}
	if set != 1 {
		return fmt.Errorf("%d of tampering, failure, drops and lapse are set, not one", set)
	}
	return err
}

func (d *Drops) validate() error {
	switch {
	case !slices.Contains(Directions(), d.Direction):
		return errors.New("direction: unknown")
	case !ValidReason(d.Reason):
		return errors.New("reason: neither a threat's id nor an egress setting")
	case d.Packets > MaxCount || d.Bytes > MaxCount:
		return errors.New("packets, bytes: too many for one report")
	}
	return nil
}

func validDetail(detail string) error {
	if detail != Text(detail) {
		return fmt.Errorf("detail: longer than %d bytes, or not printable", MaxDetail)
	}
	return nil
}

func validDuration(field string, d, longest time.Duration) error {
	if d < 0 || d > longest {
		return fmt.Errorf("%s: not between 0 and %s", field, longest)
	}
	return nil
}

// Known is the kind, or TamperedOther for one that this version does not know.
func (k TamperingKind) Known() TamperingKind {
	if slices.Contains(TamperingKinds(), k) {
		return k
	}
	return TamperedOther
}

// reason: threats of packets and of the service path are numbered; 40 labels at
// most come of it.
var reason = regexp.MustCompile(`^(P[1-9]|P1[0-9]|S[1-9]|L[1-9]|egress\.(metadata|nodes|external))$`)

// ValidReason tells whether the reason is a threat's id (P1 to P19, S1 to S9, L1 to
// L9) or egress.metadata, egress.nodes or egress.external. There are few, so that a
// tenant cannot fill a metric's labels.
func ValidReason(text string) bool { return reason.MatchString(text) }

// Text makes any text a valid detail: printable, on one line, cut at MaxDetail.
func Text(text string) string {
	text = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) <= MaxDetail {
		return text
	}
	const more = "…"
	cut := MaxDetail - len(more)
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + more
}
