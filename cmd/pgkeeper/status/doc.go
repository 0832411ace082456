// Package status is the keeper's door for peers, operators and the job's
// scripts: an HTTPS endpoint with a bearer token, and its client.
//
// It judges nothing: requests are handed to the keeper, whose decision answers them.
package status
