//go:build linux

package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// plot is a picture of round trips and repairs, as SVG.
func (r *results) plot() string {
	var b strings.Builder
	b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 650" font-family="sans-serif" font-size="12">
<rect width="900" height="650" fill="white"/>
`)
	r.plotRoundTrips(&b, 40)
	histogram(&b, 310, "time until forbidden packets are dropped again (guard), where any came through", r.Details.guards)
	histogram(&b, 490, "time until the ruleset is whole again", r.Details.wholes)
	b.WriteString("</svg>\n")
	return b.String()
}

// plotRoundTrips draws, for each variant, where the rounds' medians lie: from the
// tenth to the ninetieth of a hundred, and the middle.
func (r *results) plotRoundTrips(b *strings.Builder, top float64) {
	least, most := math.Inf(1), 0.0
	for _, v := range variants() {
		if medians := r.Details.medians[v.name]; len(medians) > 0 {
			least, most = min(least, quantile(medians, 0.1)), max(most, quantile(medians, 0.9))
		}
	}
	text(b, 20, top-15, "TCP round trip, medians of the rounds, in µs (p10, p50, p90; paired ratio to none)")
	x := func(value float64) float64 { return 170 + (value-least)/max(most-least, 1e-9)*510 }
	for i, v := range variants() {
		medians, y := r.Details.medians[v.name], top+12+float64(i)*22
		text(b, 20, y+4, v.name)
		if len(medians) == 0 {
			continue
		}
		low, middle, high := quantile(medians, 0.1), quantile(medians, 0.5), quantile(medians, 0.9)
		fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="8" fill="#9bc"/><circle cx="%.1f" cy="%.1f" r="5" fill="#036"/>`+"\n",
			x(low), y-4, max(x(high)-x(low), 1), x(middle), y)
		text(b, 700, y+4, fmt.Sprintf("%.2f µs, ratio %.4f", middle, r.Details.RTTRatio[v.name]))
	}
}

// histogram draws values in milliseconds over a logarithmic axis, without those
// that are 0.
func histogram(b *strings.Builder, top float64, title string, values []float64) {
	const bars, height = 60, 110.0
	positive := slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return v <= 0 })
	text(b, 20, top-15, fmt.Sprintf("%s: %d of %d; p50 %.2f ms, p99 %.2f ms over all", title, len(positive), len(values), quantile(values, 0.5), quantile(values, 0.99)))
	if len(positive) == 0 {
		return
	}
	low, high := math.Floor(math.Log10(slices.Min(positive))), math.Ceil(math.Log10(slices.Max(positive)))
	high = max(high, low+1)
	counts := make([]int, bars)
	for _, value := range positive {
		at := int((math.Log10(value) - low) / (high - low) * bars)
		counts[min(max(at, 0), bars-1)]++
	}
	most := float64(slices.Max(counts))
	for i, count := range counts {
		tall := float64(count) / most * height
		fmt.Fprintf(b, `<rect x="%d" y="%.1f" width="12" height="%.1f" fill="#369"/>`, 40+i*13, top+height-tall, tall)
	}
	b.WriteString("\n")
	for decade := low; decade <= high; decade++ {
		text(b, 40+(decade-low)/(high-low)*bars*13, top+height+16, fmt.Sprintf("%g ms", math.Pow(10, decade)))
	}
}

func text(b *strings.Builder, x, y float64, words string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f">%s</text>`+"\n", x, y, words)
}
