// Package demo shows a newcomer the whole chain on their own machine: a stack
// is started, an instance created, bound, used through its credentials and
// deleted, and nothing of it is left. What it prints is what really happened;
// a step that fails ends it, and everything is removed.
package demo
