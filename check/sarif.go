package check

import (
	"fmt"
	"io"
	"net/url"
	"path"
	"slices"
	"strings"
)

// The parts of SARIF 2.1.0 that are used
// (https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html).
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool        sarifTool         `json:"tool"`
		Invocations []sarifInvocation `json:"invocations"`
		Results     []sarifResult     `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version,omitempty"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string         `json:"id"`
		ShortDescription sarifText      `json:"shortDescription"`
		FullDescription  *sarifText     `json:"fullDescription,omitempty"`
		HelpURI          string         `json:"helpUri,omitempty"`
		Properties       map[string]any `json:"properties,omitempty"`
	}
	sarifInvocation struct {
		ExecutionSuccessful bool                `json:"executionSuccessful"`
		Notifications       []sarifNotification `json:"toolExecutionNotifications,omitempty"`
	}
	sarifNotification struct {
		Level   string    `json:"level"`
		Message sarifText `json:"message"`
	}
	sarifResult struct {
		RuleID       string            `json:"ruleId"`
		RuleIndex    int               `json:"ruleIndex"`
		Level        string            `json:"level"`
		Message      sarifText         `json:"message"`
		Locations    []sarifLocation   `json:"locations"`
		Fingerprints map[string]string `json:"partialFingerprints"`
	}
	sarifLocation struct {
		Physical sarifPhysical  `json:"physicalLocation"`
		Logical  []sarifLogical `json:"logicalLocations"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   sarifRegion   `json:"region"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine int `json:"startLine"`
	}
	sarifLogical struct {
		Name string `json:"fullyQualifiedName"`
		Kind string `json:"kind"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
)

// WriteSARIF writes SARIF 2.1.0, with the rules that found something.
func (r *Report) WriteSARIF(w io.Writer, version string) error {
	var ids []string
	for _, f := range r.Findings {
		ids = append(ids, f.Rule)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	run := sarifRun{
		Tool:        sarifTool{sarifDriver{Name: "bulkhead check", Version: version, Rules: []sarifRule{}}},
		Invocations: []sarifInvocation{{ExecutionSuccessful: true}},
		Results:     []sarifResult{},
	}
	for _, note := range r.Notes {
		run.Invocations[0].Notifications = append(run.Invocations[0].Notifications, sarifNotification{"note", sarifText{note}})
	}
	for _, id := range ids {
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, r.sarifRule(id))
	}
	for _, f := range r.Findings {
		index, _ := slices.BinarySearch(ids, f.Rule)
		object := f.Object.Kind + "/" + f.Object.path()
		run.Results = append(run.Results, sarifResult{
			RuleID: f.Rule, RuleIndex: index, Level: r.sarifLevel(f),
			Message: sarifText{fmt.Sprintf("%s: %s; %s", f.Object, f.Message, f.Remedy)},
			Locations: []sarifLocation{{
				sarifPhysical{sarifArtifact{uriOf(f.File)}, sarifRegion{f.Line}},
				[]sarifLogical{{strings.TrimSuffix(object+"#"+f.Field, "#"), "object"}},
			}},
			// Not the line: it moves with what is written above.
			Fingerprints: map[string]string{"object/v1": object + ":" + f.Rule + ":" + f.Container + ":" + f.Field},
		})
	}
	return encode(w, sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}})
}

func (r *Report) sarifRule(id string) sarifRule {
	rule, ok := r.rules[id]
	if !ok { // not of the rules' modules, but of the code around them
		return sarifRule{ID: id, ShortDescription: sarifText{strings.ReplaceAll(id, "-", " ")}}
	}
	s := sarifRule{
		ID: id, ShortDescription: sarifText{rule.Title}, FullDescription: &sarifText{rule.Description},
		Properties: map[string]any{
			"tags": append([]string{"security"}, rule.Threats...),
			// How GitHub's code scanning sorts: over 9, 7, 4.
			"security-severity": map[string]string{"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "2.0"}[rule.Severity],
		},
	}
	if len(rule.Related) > 0 {
		s.HelpURI = rule.Related[0].URL
	}
	return s
}

func (r *Report) sarifLevel(f Finding) string {
	switch {
	case r.fails(f):
		return "error"
	case f.Effect == Warning:
		return "warning"
	default:
		return "note"
	}
}

// uriOf is relative for what lies under the working folder, as code scanning needs it.
func uriOf(file string) string {
	if path.IsAbs(file) {
		return (&url.URL{Scheme: "file", Path: file}).String()
	}
	return (&url.URL{Path: path.Clean(file)}).String()
}
