// Package db keeps what the local director must still know after it was
// killed: deployments, instances, disks, tasks, configs, releases, stemcells,
// variables and events, in one SQLite file.
//
// Every write is one transaction, on the disk before the call returns (WAL,
// synchronous=FULL), so killing the process at any instant loses nothing that
// was answered. The file holds secrets (manifests, generated variables,
// rendered specs): it is readable by its owner only, and nothing here logs.
//
// The package knows rows, not rules: which state may follow which is said by
// package task, what a deployment is made of by package operation. JSON
// columns (json.RawMessage) belong to the caller that wrote them.
package db
