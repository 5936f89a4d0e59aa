// Package v1alpha1 holds config.bulkhead.dev/v1alpha1: the component config of
// the webhook, one file that is read at start.
//
// Load reads it strictly: an unknown or doubled field is an error, and Validate
// tells all errors at once, each with its field path. What is left out gets the
// defaults of default.go.
package v1alpha1
