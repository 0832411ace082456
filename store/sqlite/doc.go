// Package sqlite is the embedded store: one SQLite file in WAL mode with
// synchronous=FULL, so that every commit is on the disk before it is
// acknowledged. Several processes of one machine may open the same file.
package sqlite
