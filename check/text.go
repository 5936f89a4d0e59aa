package check

import (
	"encoding/json"
	"fmt"
	"io"
)

// WriteText writes a line for each finding, in the form that editors know, and what was
// looked at.
func (r *Report) WriteText(w io.Writer) error {
	for _, f := range r.Findings {
		standard := ""
		if f.Standard != "" {
			standard = " (" + f.Standard + ")"
		}
		if _, err := fmt.Fprintf(w, "%s:%d: %s: %s%s: %s: %s; %s\n", f.File, f.Line, f.Effect, f.Rule, standard, f.Object, f.Message, f.Remedy); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w, r.Summary())
	return err
}

// WriteJSON writes the report as it is.
func (r *Report) WriteJSON(w io.Writer) error {
	return encode(w, r)
}

func encode(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}
