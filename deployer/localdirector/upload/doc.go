// Package upload is the director's tasks on artifacts: it takes in release
// and stemcell tarballs and deletes them again, under the release's or
// stemcell's lock, with the stages and the words of the BOSH director.
//
// What tarballs look like is package release's knowledge, where images go is
// the host's. The HTTP API stores the bytes of an upload in a file first and
// hands over its path; the task removes that file however it ends.
//
// Releases and stemcells that a deployment uses cannot be deleted.
package upload
