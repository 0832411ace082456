// Package postgres carries out what is decided about one PostgreSQL server: its
// data directory, the configuration that the keeper owns, its state and
// replication. The server's processes are the guard's; this package never starts
// a server by itself, except single-user recovery before a rewind.
package postgres
