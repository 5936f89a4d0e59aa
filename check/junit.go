package check

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// The parts of JUnit's XML that CI systems read.
type (
	junitSuites struct {
		XMLName  xml.Name      `xml:"testsuites"`
		Name     string        `xml:"name,attr"`
		Tests    int           `xml:"tests,attr"`
		Failures int           `xml:"failures,attr"`
		Suites   []*junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		Failure *junitFailure `xml:"failure,omitempty"`
		Out     string        `xml:"system-out,omitempty"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes a suite for each file and a case for each object, with what fails it
// as one failure and the rest as output.
func (r *Report) WriteJUnit(w io.Writer) error {
	suites := junitSuites{Name: "bulkhead check"}
	byObject := map[int][]Finding{}
	for _, f := range r.Findings {
		byObject[f.Object.index] = append(byObject[f.Object.index], f)
	}
	byFile := map[string]*junitSuite{}
	for _, o := range r.objects {
		suite := byFile[o.file]
		if suite == nil {
			suite = &junitSuite{Name: o.file}
			byFile[o.file], suites.Suites = suite, append(suites.Suites, suite)
		}
		c := r.junitCase(o, byObject[o.index])
		suites.Tests, suite.Tests = suites.Tests+1, suite.Tests+1
		if c.Failure != nil {
			suites.Failures, suite.Failures = suites.Failures+1, suite.Failures+1
		}
		suite.Cases = append(suite.Cases, c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(suites); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (r *Report) junitCase(o Object, findings []Finding) junitCase {
	c := junitCase{Name: o.String(), Class: o.APIVersion}
	var failed, told []string
	var rules []string
	for _, f := range findings {
		line := fmt.Sprintf("%s:%d: %s: %s: %s; %s", f.File, f.Line, f.Effect, f.Rule, f.Message, f.Remedy)
		if r.fails(f) {
			failed, rules = append(failed, line), append(rules, f.Rule)
		} else {
			told = append(told, line)
		}
	}
	if len(failed) > 0 {
		c.Failure = &junitFailure{strings.Join(rules, ", "), "violation", strings.Join(failed, "\n")}
	}
	c.Out = strings.Join(told, "\n")
	return c
}
