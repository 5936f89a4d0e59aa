// Package namespaces knows what namespaces say of their pods: their Pod Security
// labels and the limits of their LimitRanges. Cluster follows them in an API server,
// Static reads them from manifests.
package namespaces
