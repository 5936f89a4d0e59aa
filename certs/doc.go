// Package certs keeps the webhook's serving certificate.
//
// A Pair is certificate and key as the API server's machinery
// (k8s.io/apiserver/pkg/server/dynamiccertificates) wants them: that package reads
// and watches the files, which cert-manager renews, and swaps them under running
// connections. Pair stands between the two and lets only a usable pair pass: what
// does not parse, does not match or is out of its time is logged and left, and the
// last good pair stays in use (threat A3). Check and Expiry tell how it stands, for
// readiness and metrics.
//
// SelfSigned is for the standalone mode. Issuance in a cluster is cert-manager's
// business, by the Certificate in the chart.
package certs
