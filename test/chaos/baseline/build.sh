#!/usr/bin/env bash
# Builds the BOSH release of the baselines from Debian's packages and the same
# Consul that Holdfast's release has. Prints the tarball's path on stdout. What
# was built before from the same files is not built again.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
readonly root=$here/../../..
readonly cache=${HOLDFAST_CACHE:-$HOME/.cache/holdfast}/baseline

step() { "$root/scripts/step.sh" "$@" >&2; }

packages() { grep -hEv '^(#|$)' "$here/packages.txt" "$root/boshrelease/packages/postgresql-15/debian.txt" | sort -u; }

download() {
  local names
  mapfile -t names < <(packages)
  mkdir -p "$1"
  (cd "$1" && step "downloading ${#names[@]} Debian packages" apt-get -q -o APT::Sandbox::User=root download "${names[@]}")
}

# blob FILE NAME puts a file where create-release looks for NAME.
blob() {
  mkdir -p "$(dirname "$work/release/blobs/$2")"
  cp "$1" "$work/release/blobs/$2"
  printf '%s:\n  size: %s\n  sha: sha256:%s\n' "$2" "$(stat -c %s "$1")" "$(sha256sum "$1" | cut -d ' ' -f 1)" >>"$work/release/config/blobs.yml"
}

stage() {
  local deb
  cp -R "$here/release" "$work/release"
  mkdir "$work/release/src"
  echo '---' >"$work/release/config/blobs.yml"
  for deb in "$1"/*.deb; do
    blob "$deb" "debian/$(basename "$deb" | cut -d _ -f 1).deb"
  done
  blob "$consul" consul/consul
}

main() {
  local digest tarball
  consul=${CONSUL:-$("$root/boshrelease/consul.sh")}
  bosh=${BOSH:-$("$root/scripts/tools.sh" bosh)}
  digest=$({ packages; find "$here/release" -type f -print0 | sort -z | xargs -0 cat; sha256sum <"$consul"; } | sha256sum | cut -c 1-12)
  tarball=$cache/holdfast-baseline-0.1.0+c$digest.tgz
  if [[ ! -s $tarball ]]; then
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/build.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    download "$work/debs"
    stage "$work/debs"
    step "creating the release of the baselines" "$bosh" --non-interactive create-release --dir "$work/release" --sha2 --force \
      --version "0.1.0+c$digest" --tarball "$work/release.tgz"
    mv "$work/release.tgz" "$tarball"
  fi
  printf '%s\n' "$tarball"
}

main "$@"
