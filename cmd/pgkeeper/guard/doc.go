// Package guard is the tiny parent of PostgreSQL: monit's only entry for it. It
// holds the fence deadline in its memory and kills the server when that has
// passed, by its own clock and nobody's permission. It starts the keeper, and
// starts it again when it ends; one that was stopped, or says nothing any more, it kills.
//
// It decides nothing else: it starts, stops and kills the server when the keeper
// asks over a unix socket (Client), and says what it knows (State). It never
// starts the server by itself, and asks neither Consul nor SQL.
//
// When the guard dies the kernel kills the postmaster (parent-death signal, from
// a thread that lives as long as the guard). Backends do not inherit that: the
// keeper, which sees the socket close, sweeps them, and so does the next guard
// before it does anything else.
package guard
