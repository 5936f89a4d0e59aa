// Package charts holds the Helm chart bulkhead and its tests, which render it
// with helm and judge the result by the types, schemas and loaders that will
// read it. The chart's README says how to install it.
package charts
