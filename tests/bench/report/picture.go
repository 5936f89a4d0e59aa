package report

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Picture is drawn as SVG, from the top to the bottom.
type Picture struct {
	shapes strings.Builder
	bottom float64
}

// The picture's width, the columns in it, and what stands between two parts of it.
const (
	width      = 900.0
	margin     = 20.0
	axisLeft   = 220.0
	axisRight  = 720.0
	gap        = 30.0
	lineHeight = 22.0
)

// String is the picture.
func (p *Picture) String() string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="sans-serif" font-size="12">
<rect width="%[1]g" height="%[2]g" fill="white"/>
%s</svg>
`, width, p.bottom+gap, &p.shapes)
}

// Range is a row of Ranges: a value between two others, and what is said of it.
type Range struct {
	Name              string
	Low, Middle, High float64
	Says              string
}

// Ranges draws a row for each range, over one axis: a bar from the low value to the high
// one, and a dot at the middle. Over a logarithmic axis all must be above 0.
func (p *Picture) Ranges(title string, logarithmic bool, ranges []Range) {
	p.title(title)
	scale := func(value float64) float64 { return value }
	if logarithmic {
		scale = math.Log10
	}
	least, most := math.Inf(1), math.Inf(-1)
	for _, r := range ranges {
		least, most = min(least, scale(r.Low)), max(most, scale(r.High))
	}
	if logarithmic {
		least, most = math.Floor(least), math.Ceil(most)
	}
	x := func(value float64) float64 {
		return axisLeft + (scale(value)-least)/max(most-least, 1e-9)*(axisRight-axisLeft)
	}
	top := p.bottom
	for _, r := range ranges {
		y := p.bottom + lineHeight/2
		p.text(margin, y+4, r.Name)
		p.rectangle(x(r.Low), y-4, max(x(r.High)-x(r.Low), 1), 8, "#9bc")
		fmt.Fprintf(&p.shapes, `<circle cx="%.1f" cy="%.1f" r="5" fill="#036"/>`+"\n", x(r.Middle), y)
		p.text(axisRight+margin, y+4, r.Says)
		p.bottom += lineHeight
	}
	if logarithmic && len(ranges) > 0 {
		for decade := least; decade <= most; decade++ {
			value := math.Pow(10, decade)
			p.rectangle(x(value), top, 0.5, p.bottom-top, "#999")
			p.text(x(value), p.bottom+14, strconv.FormatFloat(value, 'f', -1, 64))
		}
		p.bottom += lineHeight
	}
}

// Histogram draws how many of the values, in milliseconds, lie where on a logarithmic
// axis, without those that are 0.
func (p *Picture) Histogram(title string, values []float64) {
	const bars, wide, high = 60, 13.0, 110.0
	positive := slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return v <= 0 })
	p.title(fmt.Sprintf("%s: %d of %d; p50 %.2f ms, p99 %.2f ms over all", title, len(positive), len(values), Quantile(values, 0.5), Quantile(values, 0.99)))
	if len(positive) == 0 {
		return
	}
	low, most := math.Floor(math.Log10(slices.Min(positive))), math.Ceil(math.Log10(slices.Max(positive)))
	most = max(most, low+1)
	counts := make([]int, bars)
	for _, value := range positive {
		at := int((math.Log10(value) - low) / (most - low) * bars)
		counts[min(max(at, 0), bars-1)]++
	}
	p.bottom += high
	for i, count := range counts {
		tall := float64(count) / float64(slices.Max(counts)) * high
		p.rectangle(2*margin+float64(i)*wide, p.bottom-tall, wide-1, tall, "#369")
	}
	p.bottom += 16
	for decade := low; decade <= most; decade++ {
		p.text(2*margin+(decade-low)/(most-low)*bars*wide, p.bottom, fmt.Sprintf("%g ms", math.Pow(10, decade)))
	}
}

func (p *Picture) title(words string) {
	p.bottom += gap
	p.text(margin, p.bottom, words)
	p.bottom += 8
}

func (p *Picture) rectangle(x, y, wide, tall float64, color string) {
	fmt.Fprintf(&p.shapes, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`+"\n", x, y, wide, tall, color)
}

func (p *Picture) text(x, y float64, words string) {
	fmt.Fprintf(&p.shapes, `<text x="%.1f" y="%.1f">%s</text>`+"\n", x, y, html.EscapeString(words))
}
