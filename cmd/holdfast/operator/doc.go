// Package operator is the way of those who run Holdfast to the keepers of an
// instance. The director knows where its nodes are and, in the manifest, what
// opens the keepers' door: whoever may read manifests may do this. It decides
// nothing; the keepers do.
package operator
