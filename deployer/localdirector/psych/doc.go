// Package psych reads YAML as Ruby's library of that name does (YAML 1.1), since
// that is what the director reads and what manifests and jobs' specs are written
// for. What a text unfolds to is bounded: aliases can make a short one endless.
package psych
