// Package variables generates the values of a deployment's `variables` with
// the generators of config-server, keeps them in a store between deploys, and
// replaces ((placeholders)) by them. It never logs or quotes a value.
package variables
