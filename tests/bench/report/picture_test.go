package report

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

// TestPicture: it is well-formed, and has no figure that is none.
func TestPicture(t *testing.T) {
	for name, draw := range map[string]func(*Picture){
		"nothing":             func(*Picture) {},
		"no ranges":           func(p *Picture) { p.Ranges("none", false, nil) },
		"no ranges, log":      func(p *Picture) { p.Ranges("none", true, nil) },
		"ranges":              func(p *Picture) { p.Ranges("a < b & c", false, []Range{{"x", 0, 1, 2, "<1>"}, {"y", 1, 1, 1, ""}}) },
		"one value":           func(p *Picture) { p.Ranges("one", false, []Range{{"x", 7, 7, 7, ""}}) },
		"ranges, log":         func(p *Picture) { p.Ranges("log", true, []Range{{"x", 0.5, 20, 4000, ""}, {"y", 1, 1, 1, ""}}) },
		"one decade":          func(p *Picture) { p.Ranges("log", true, []Range{{"x", 10, 10, 10, ""}}) },
		"histogram":           func(p *Picture) { p.Histogram("h", []float64{0, 0.1, 1, 100}) },
		"histogram of zeroes": func(p *Picture) { p.Histogram("h", []float64{0, 0}) },
		"histogram of one":    func(p *Picture) { p.Histogram("h", []float64{10}) },
		"histogram of none":   func(p *Picture) { p.Histogram("h", nil) },
	} {
		t.Run(name, func(t *testing.T) {
			var p Picture
			draw(&p)
			text := p.String()
			if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
				t.Errorf("no figure: %s", text)
			}
			decoder := xml.NewDecoder(strings.NewReader(text))
			for {
				if _, err := decoder.Token(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatalf("%v: %s", err, text)
				}
			}
		})
	}
}
