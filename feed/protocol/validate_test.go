package protocol

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestValidate(t *testing.T) {
	tampering := func(change func(*Tampering)) Record {
		t := &Tampering{Kind: TamperedRule, Detail: "a rule differs", Whole: time.Millisecond}
		change(t)
		return Record{Tampering: t}
	}
	drops := func(change func(*Drops)) Record {
		d := &Drops{Direction: Out, Reason: "P3", Packets: 1, Bytes: 60}
		change(d)
		return Record{Drops: d}
	}
	for name, test := range map[string]struct {
		records []Record
		want    string // part of the error; empty: none
	}{
		"nothing happened":     {nil, ""},
		"tampering":            {[]Record{tampering(func(*Tampering) {})}, ""},
		"unknown kind":         {[]Record{tampering(func(t *Tampering) { t.Kind = "later" })}, ""},
		"failure":              {[]Record{{Failure: &Failure{Detail: "no ip_set"}}}, ""},
		"drops":                {[]Record{drops(func(*Drops) {})}, ""},
		"no record":            {[]Record{{}}, "records[0]: 0 of"},
		"two in one":           {[]Record{{Failure: &Failure{}, Drops: &Drops{Direction: In, Reason: "P1"}}}, "records[0]: 2 of"},
		"long detail":          {[]Record{tampering(func(t *Tampering) { t.Detail = strings.Repeat("x", MaxDetail+1) })}, "detail: "},
		"new line":             {[]Record{{Failure: &Failure{Detail: "a\nb"}}}, "detail: "},
		"escape":               {[]Record{{Failure: &Failure{Detail: "\x1b[31m"}}}, "detail: "},
		"right to left":        {[]Record{{Failure: &Failure{Detail: "a\u202eb"}}}, "detail: "},
		"negative time":        {[]Record{tampering(func(t *Tampering) { t.Guarded = -1 })}, "guardedNanoseconds: "},
		"endless time":         {[]Record{tampering(func(t *Tampering) { t.Whole = MaxDuration + 1 })}, "wholeNanoseconds: "},
		"direction":            {[]Record{drops(func(d *Drops) { d.Direction = "up" })}, "direction: "},
		"reason":               {[]Record{drops(func(d *Drops) { d.Reason = "P3 source" })}, "reason: "},
		"reason without end":   {[]Record{drops(func(d *Drops) { d.Reason = "P3\n" })}, "reason: "},
		"more than there are":  {[]Record{drops(func(d *Drops) { d.Packets = MaxCount + 1 })}, "packets, bytes: "},
		"second is wrong":      {[]Record{drops(func(*Drops) {}), {}}, "records[1]: "},
		"more than one answer": {make([]Record, MaxRecords+1), "records: 17"},
	} {
		t.Run(name, func(t *testing.T) {
			err := (&Report{Records: test.records}).Validate()
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %v does not say %q", err, test.want)
			}
		})
	}
}

func TestText(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"plain":        {"iptables: no", "iptables: no"},
		"lines":        {"one\ntwo\tthree", "one two three"},
		"terminal":     {"\x1b[2J", " [2J"},
		"no UTF-8":     {"a\xffb", "a b"},
		"cut":          {strings.Repeat("x", MaxDetail+1), strings.Repeat("x", MaxDetail-3) + "…"},
		"cut in runes": {strings.Repeat("ü", MaxDetail), strings.Repeat("ü", (MaxDetail-3)/2) + "…"},
	} {
		t.Run(name, func(t *testing.T) {
			got := Text(test.text)
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if err := validDetail(got); err != nil {
				t.Error(err)
			}
		})
	}
}

// FuzzText: whatever a sidecar has to say, the server takes.
func FuzzText(f *testing.F) {
	f.Add("iptables-restore: line 3 failed\n")
	f.Fuzz(func(t *testing.T, text string) {
		if err := validDetail(Text(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	})
}

// The longest report that a sidecar can make fits.
func TestLongestReportFits(t *testing.T) {
	record := Record{Tampering: &Tampering{
		Time: time.Now(), Kind: TamperedPolicy, Detail: strings.Repeat("&", MaxDetail), Guarded: MaxDuration, Whole: MaxDuration,
	}}
	report := Report{Lost: 1 << 60}
	for range MaxRecords {
		report.Records = append(report.Records, record)
	}
	if err := report.Validate(); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > MaxBytes {
		t.Errorf("%d bytes are more than %d", len(data), MaxBytes)
	}
}
