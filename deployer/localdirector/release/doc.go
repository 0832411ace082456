// Package release reads the artifacts a director is given: release tarballs
// as `bosh create-release --tarball` makes them and stemcell tarballs. It
// keeps their parts in a folder of blobs named by digest, says in which order
// packages compile and under which key a compiled package may be used again.
//
// An upload goes through three steps, so that the caller can report each of
// them as an event and nothing is stored before everything was checked:
//
//	archive, err := store.ExtractRelease(ctx, path) // "Extracting release"
//	defer archive.Close()
//	rel, err := archive.Verify(ctx, known)          // "Verifying manifest"
//	err = archive.KeepPackage(ctx, rel.Packages[i]) // "Creating new packages"
//	err = archive.KeepJob(ctx, rel.Jobs[i])         // "Creating new jobs"
//
// Tarballs come from outside and are not trusted: paths that leave the
// archive, links, devices, more bytes or files than the limits allow and
// digests that do not match are refused with the director's error codes.
// Releases with compiled packages are refused for now.
//
// The package keeps no database: which blobs are still referred to is the
// caller's knowledge, given to Store.Collect. The local director's tasks and
// operations use it.
package release
