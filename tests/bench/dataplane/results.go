//go:build linux

package main

import (
	"fmt"
	"io"
	"os"

	"github.com/bulkhead-dev/bulkhead/tests/bench/report"
)

// results are what is written.
type results struct {
	Summary summary
	Details details
}

// summary is bench-dataplane.json.
type summary struct {
	RTTp50         byVariant `json:"rtt_p50_us"`
	RTTp99         byVariant `json:"rtt_p99_us"`
	Connections    byVariant `json:"conn_per_s"`
	Throughput     byVariant `json:"gbit_per_s"`
	Start          float64   `json:"start_ms_p50"`
	Update         float64   `json:"update_ms_p50_100000"`
	RepairGuardP99 float64   `json:"repair_guard_ms_p99"`
	RepairWholeP99 float64   `json:"repair_whole_ms_p99"`
	Tamperings     int       `json:"tamperings"`
	Escaped        int       `json:"escaped_packets"`
	ResidentMiB    float64   `json:"sidecar_rss_mib"`
	ImageMB        float64   `json:"image_mb"`
}

// byVariant has one figure for each variant of the rules.
type byVariant struct {
	None       float64 `json:"none"`
	Thesis     float64 `json:"thesis"`
	Ours10     float64 `json:"ours_10"`
	Ours1000   float64 `json:"ours_1000"`
	Ours100000 float64 `json:"ours_100000"`
}

func (b *byVariant) set(variant string, value float64) {
	switch variant {
	case "none":
		b.None = value
	case "thesis":
		b.Thesis = value
	case "ours_10":
		b.Ours10 = value
	case "ours_1000":
		b.Ours1000 = value
	case "ours_100000":
		b.Ours100000 = value
	}
}

// details is what the summary was made of. Ratios are the medians of the rounds'
// own: of each variant to no rules in the same round, whatever the machine did then.
// "none again" is a second pair without rules: how far it is from 1 is the noise.
type details struct {
	RTTRatio        map[string]float64 `json:"rtt_ratio_to_none"`
	ConnectionRatio map[string]float64 `json:"conn_ratio_to_none"`
	ThroughputRatio map[string]float64 `json:"gbit_ratio_to_none"`
	StartMs         spread             `json:"start_ms"`
	UpdateMs        spread             `json:"update_ms_100000"`
	FillMs          float64            `json:"fill_ms_100000"`
	// Repairs are by what was done. Guard is from the first forbidden packet that
	// came through to the last, 0 where none did; whole is from the change in
	// the kernel to the sidecar's word that all is in place again.
	Repairs map[string]repair `json:"repairs"`
	Shots   int               `json:"forbidden_packets_sent"`

	guards, wholes []float64 // in ms, of what raises events
	medians        map[string][]float64
}

type repair struct {
	Count int    `json:"count"`
	Opens int    `json:"opened"`
	Guard spread `json:"guard_ms"`
	Whole spread `json:"whole_ms"`
}

// spread is a distribution in a few figures.
type spread struct {
	report.Spread
	Max float64 `json:"max"`
}

func spreadOf(values []float64) spread {
	return spread{report.SpreadOf(values), report.Quantile(values, 1)}
}

func (r *results) write(dir string) error {
	if err := report.Write(dir, "bench-dataplane", r.Summary, r.Details, r.picture()); err != nil {
		return err
	}
	r.print(os.Stdout)
	return nil
}

// picture is of round trips and repairs: for each variant, where the rounds' medians lie.
func (r *results) picture() string {
	var p report.Picture
	var trips []report.Range
	for _, v := range variants() {
		if medians := r.Details.medians[v.name]; len(medians) > 0 {
			low, middle, high := report.Quantile(medians, 0.1), report.Quantile(medians, 0.5), report.Quantile(medians, 0.9)
			trips = append(trips, report.Range{Name: v.name, Low: low, Middle: middle, High: high, Says: fmt.Sprintf("%.2f µs, ratio %.4f", middle, r.Details.RTTRatio[v.name])})
		}
	}
	p.Ranges("TCP round trip, medians of the rounds, in µs (p10, p50, p90; paired ratio to none)", false, trips)
	p.Histogram("time until forbidden packets are dropped again (guard), where any came through", r.Details.guards)
	p.Histogram("time until the ruleset is whole again", r.Details.wholes)
	return p.String()
}

// print tells a person.
func (r *results) print(w io.Writer) {
	s, d := &r.Summary, &r.Details
	fmt.Fprintf(w, "%-13s %9s %9s %9s %9s %9s\n", "", "RTT p50", "ratio", "RTT p99", "conn/s", "Gbit/s")
	for _, v := range []struct {
		name string
		of   func(byVariant) float64
	}{
		{"none", func(b byVariant) float64 { return b.None }},
		{"thesis", func(b byVariant) float64 { return b.Thesis }},
		{"ours_10", func(b byVariant) float64 { return b.Ours10 }},
		{"ours_1000", func(b byVariant) float64 { return b.Ours1000 }},
		{"ours_100000", func(b byVariant) float64 { return b.Ours100000 }},
	} {
		fmt.Fprintf(w, "%-13s %6.2f us %9.4f %6.1f us %9.0f %9.2f\n", v.name, v.of(s.RTTp50), d.RTTRatio[v.name], v.of(s.RTTp99), v.of(s.Connections), v.of(s.Throughput))
	}
	fmt.Fprintf(w, "what any such rules cost at least, as ratio:")
	for _, v := range variants() {
		if v.reference {
			fmt.Fprintf(w, " %s %.4f;", v.name, d.RTTRatio[v.name])
		}
	}
	fmt.Fprintf(w, "\nnoise: a second pair without rules is at %.4f of the first\n", d.RTTRatio[control])
	fmt.Fprintf(w, "start %.1f ms, update at 100,000 %.2f ms, sidecar %.1f MiB, image %.1f MB\n", s.Start, s.Update, s.ResidentMiB, s.ImageMB)
	fmt.Fprintf(w, "%d tamperings: dropped again p99 %.2f ms, whole p99 %.2f ms; %d of %d forbidden packets escaped\n",
		s.Tamperings, s.RepairGuardP99, s.RepairWholeP99, s.Escaped, d.Shots)
}
