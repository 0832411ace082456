// Package stemcell holds what the local director's stemcell is made of:
// build.sh, which makes it, the files it adds to a minimal Debian, and
// monitbridge, which runs in it. There is no code to call.
package stemcell
