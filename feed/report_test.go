package feed

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

const tampering = `{"records":[{"tampering":{"time":"2026-11-22T06:00:00Z","kind":"jump","detail":"INPUT: the jump is gone","guardedNanoseconds":2000000,"wholeNanoseconds":30000000}}]}`

func TestReport(t *testing.T) {
	b := newBench(t)
	check(t, b.post(webToken, address, tampering), http.StatusNoContent, "")
	check(t, b.post(webToken, address, `{"lost":3,"records":[
		{"failure":{"time":"2026-11-22T06:00:01Z","detail":"iptables-restore: no chain"}},
		{"drops":{"direction":"out","reason":"P3","packets":7,"bytes":420}},
		{"drops":{"direction":"out","reason":"egress.external","packets":1}},
		{"tampering":{"time":"2026-11-22T06:00:02Z","kind":"of the future","wholeNanoseconds":20000000000}}]}`), http.StatusNoContent, "")
	if diff := cmp.Diff([]string{
		"Pod/alice/web Warning FirewallTampered: the firewall was changed by somebody else (jump) and repaired within 100ms: INPUT: the jump is gone",
		"Pod/alice/web Warning FirewallFailed: the firewall is not in force, all traffic of the pod is dropped: iptables-restore: no chain",
		"Pod/alice/web Warning FirewallTampered: the firewall was changed by somebody else (other) and repaired within 1m",
	}, b.events.all); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]float64{
		`bulkhead_feed_requests_total{code="204"}`:                                                         2,
		`bulkhead_feed_token_reviews_total{result="good"}`:                                                 1,
		`bulkhead_firewall_dropped_packets_total{direction="out",reason="P3",tenant="alice"}`:              7,
		`bulkhead_firewall_dropped_packets_total{direction="out",reason="egress.external",tenant="alice"}`: 1,
		`bulkhead_firewall_failures_total{tenant="alice"}`:                                                 1,
		`bulkhead_firewall_lost_records_total{tenant="alice"}`:                                             3,
		`bulkhead_firewall_repair_seconds{stage="guarded"}`:                                                1,
		`bulkhead_firewall_repair_seconds{stage="whole"}`:                                                  2,
		`bulkhead_firewall_tamperings_total{kind="jump",tenant="alice"}`:                                   1,
		`bulkhead_firewall_tamperings_total{kind="other",tenant="alice"}`:                                  1,
	}, b.samples(t)); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

// Whatever a tenant says with its good token: it is refused whole, or bounded.
func TestHostileReports(t *testing.T) {
	drops := func(fields string) string { return `{"records":[{"drops":{` + fields + `}}]}` }
	for name, body := range map[string]string{
		"empty":              ``,
		"no JSON":            `records`,
		"list":               `[]`,
		"unknown field":      `{"records":[],"pod":"victim"}`,
		"two":                nothing + nothing,
		"trailing":           nothing + `x`,
		"no record":          `{"records":[{}]}`,
		"other's tenant":     `{"records":[{"tampering":{"time":"2026-11-22T06:00:00Z","kind":"jump","wholeNanoseconds":1,"tenant":"bob"}}]}`,
		"label as reason":    drops(`"direction":"out","reason":"P3\",tenant=\"bob","packets":1`),
		"label as direction": drops(`"direction":"outwards","reason":"P3","packets":1`),
		"negative count":     drops(`"direction":"out","reason":"P3","packets":-1`),
		"too many packets":   drops(`"direction":"out","reason":"P3","packets":18446744073709551615`),
		"a float":            drops(`"direction":"out","reason":"P3","packets":1e300`),
		"no time":            `{"records":[{"failure":{"time":"yesterday","detail":""}}]}`,
		"year 10000":         `{"records":[{"failure":{"time":"10000-01-01T00:00:00Z","detail":""}}]}`,
		"escapes":            `{"records":[{"failure":{"time":"2026-11-22T06:00:00Z","detail":"\u001b[2J"}}]}`,
		"new lines":          `{"records":[{"failure":{"time":"2026-11-22T06:00:00Z","detail":"a\nb"}}]}`,
		"right to left":      `{"records":[{"failure":{"time":"2026-11-22T06:00:00Z","detail":"\u202e"}}]}`,
		"long detail":        `{"records":[{"failure":{"time":"2026-11-22T06:00:00Z","detail":"` + strings.Repeat("x", protocol.MaxDetail+1) + `"}}]}`,
		"too many records":   `{"records":[` + strings.TrimSuffix(strings.Repeat(`{"failure":{"time":"2026-11-22T06:00:00Z","detail":""}},`, protocol.MaxRecords+1), ",") + `]}`,
		"too large":          `{"records":[` + strings.Repeat(" ", protocol.MaxBytes) + `]}`,
		"too deep":           strings.Repeat(`{"records":[`, 5000),
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			check(t, b.post(webToken, address, body), http.StatusBadRequest, " report: ")
			if len(b.events.all) != 0 {
				t.Errorf("events %q", b.events.all)
			}
			for sample := range b.samples(t) {
				if strings.HasPrefix(sample, "bulkhead_firewall_") {
					t.Errorf("counted %s", sample)
				}
			}
		})
	}
}

// A pod that reports without pause is told to slow down; another one is not.
func TestFloodOfReports(t *testing.T) {
	b := newBench(t)
	b.api.tokens["db"] = vouched("bob", "db")
	var taken int
	for range 100 * podBurst {
		answer := b.post(webToken, address, tampering)
		switch answer.Code {
		case http.StatusNoContent:
			taken++
		case http.StatusTooManyRequests:
			if answer.Header().Get("Retry-After") == "" {
				t.Fatal("no Retry-After")
			}
		default:
			t.Fatalf("answered with %d", answer.Code)
		}
	}
	if taken < podBurst || taken > 3*podBurst || taken != len(b.events.all) {
		t.Errorf("%d reports were taken, %d Events raised", taken, len(b.events.all))
	}
	check(t, b.post("db", address, nothing), http.StatusNoContent, "")
}

// All that tenants can say makes few label values.
func TestLabelsAreBounded(t *testing.T) {
	b := newBench(t)
	for i := range 200 {
		pod := fmt.Sprintf("pod-%d", i)
		b.api.tokens[pod] = vouched("alice", pod)
		from := fmt.Sprintf("192.0.2.%d:1", i)
		b.post(pod, from, fmt.Sprintf(`{"records":[{"tampering":{"time":"2026-11-22T06:00:00Z","kind":"kind-%d","wholeNanoseconds":1}}]}`, i))
		for _, direction := range []string{"in", "out", "forward", fmt.Sprint(i)} {
			b.post(pod, from, fmt.Sprintf(`{"records":[{"drops":{"direction":%q,"reason":"P%d","packets":1}}]}`, direction, i))
		}
	}
	count := map[string]int{}
	for sample := range b.samples(t) {
		name, _, _ := strings.Cut(sample, "{")
		count[name]++
	}
	if count["bulkhead_firewall_tamperings_total"] != 1 || count["bulkhead_firewall_dropped_packets_total"] != 3*19 {
		t.Errorf("samples %v", count)
	}
}

// FuzzDecode: what is taken is within the bounds, and means the same again.
func FuzzDecode(f *testing.F) {
	f.Add(tampering)
	f.Add(`{"records":[{"drops":{"direction":"in","reason":"S2","packets":1}}],"lost":1}`)
	f.Fuzz(func(t *testing.T, body string) {
		report, err := decode(strings.NewReader(body))
		if err != nil {
			return
		}
		if err := report.Validate(); err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(report)
		if err != nil {
			t.Fatalf("taken but not encoded: %v", err)
		}
		again, err := decode(strings.NewReader(string(data)))
		if err != nil {
			t.Fatalf("taken but not taken again: %v", err)
		}
		if diff := cmp.Diff(report, again); diff != "" {
			t.Error(diff)
		}
	})
}
