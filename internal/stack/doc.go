// Package stack is Holdfast on one machine: it starts every part as a process
// of its own, as in production, restarts what dies, keeps all state in one
// folder and removes every trace of it.
//
// It knows the parts by their command lines, configuration files and HTTP
// APIs only.
package stack
