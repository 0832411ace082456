// Package boshrelease holds no Go code, only the tests of the BOSH release
// beside it.
//
// The release, holdfast-postgresql, runs PostgreSQL 15: the job postgresql and
// the package postgresql-15, which unpacks Debian's binaries (build.sh fetches
// them) and is complete in itself but for glibc. Its templates hold data, its
// scripts hold no ERB, and what a script must know of the deployment is in
// config/settings.env. jobs/postgresql/spec describes every property.
//
// The tests render the job as the local director does, with the defaults of the
// job's spec, and run the real scripts and server in namespaces on the root of
// the local director's stemcell. They need root, and build the stemcell if it is
// not in the cache.
package boshrelease
