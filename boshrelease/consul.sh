#!/usr/bin/env bash
# Builds the Consul server that src/consul pins, once, into the cache, and prints
# its path on stdout. The path names what went into it. Static and without
# traces of this machine: it runs on any stemcell and is the same file for
# everybody.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
readonly cache=${HOLDFAST_CACHE:-$HOME/.cache/holdfast}/consul

# Without these the compiler, its flags and the result depend on who builds.
export CGO_ENABLED=0 GOFLAGS='-mod=readonly -trimpath -buildvcs=false' GOWORK=off

build() {
  "$here/../scripts/step.sh" "building Consul (some minutes, once)" \
    go build -v -ldflags '-s -w' -o "$work/consul" github.com/hashicorp/consul >&2
}

main() {
  local version target
  cd "$here/src/consul"
  version=$(go list -m -f '{{.Version}}' github.com/hashicorp/consul)
  target=$cache/$version-$(go env GOVERSION)-$(go env GOOS)-$(go env GOARCH)-$(find go.mod go.sum discover client-go "$here/consul.sh" -type f -print0 | sort -z | xargs -0 cat | sha256sum | cut -c 1-12)
  if [[ ! -x $target/consul ]]; then
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    flock -n 9 || "$here/../scripts/step.sh" "waiting for another build of Consul" flock "$cache/lock" true >&2
    flock 9
  fi
  if [[ ! -x $target/consul ]]; then
    work=$(mktemp -d "$cache/build.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    build
    mkdir -p "$target"
    mv "$work/consul" "$target/consul"
  fi
  echo "$target/consul"
}

main "$@"
