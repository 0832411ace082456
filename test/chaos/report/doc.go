// Package report turns what a run's clients saw into figures, keeps them as one
// JSON line a run, and makes the summary table of them. It asks nobody: the
// same lines give the same table.
package report
