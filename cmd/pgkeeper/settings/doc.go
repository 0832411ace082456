// Package settings is pgkeeper's configuration: one JSON file that the BOSH job
// renders, read by the guard, the keeper and every command. It refuses unknown
// keys and reports all faults at once.
package settings
