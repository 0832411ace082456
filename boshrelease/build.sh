#!/usr/bin/env bash
# Builds the BOSH release holdfast-postgresql, as `bosh create-release` does and with
# its code (create/). Prints the tarball's path on stdout, progress on stderr. The
# release's version is derived from its content, Debian's packages, Consul and
# pgkeeper included, so an unchanged tree yields the same version and the same
# fingerprints. Everything is kept in the cache, nothing is written here.
# `build.sh --update` asks Debian for newer packages; without it those resolved once
# are used again.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
readonly home=${HOLDFAST_CACHE:-$HOME/.cache/holdfast}
readonly cache=$home/release
readonly scripts=$here/../scripts
readonly name=holdfast-postgresql base_version=0.1.0
readonly package=packages/postgresql-15

fail() {
  printf 'release: %s\n' "$*" >&2
  exit 1
}

# step TITLE COMMAND… shows that it lives, and its output only when it fails.
step() { "$scripts/step.sh" "$@" >&2; }

need() {
  local codename
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  [[ $codename == bookworm ]] || fail "Debian 12 (bookworm) is needed for its packages, this is ${codename:-unknown}"
  consul=${CONSUL:-$("$here/consul.sh")}
}

# locations prints "url file size SHA256:digest" of each Debian package.
locations() {
  apt-get -qq download --print-uris "${debs[@]}" 2>"$work/apt.log" | tr -d "'" | grep SHA256: | sort -u
}

# resolve chooses the version of every Debian package and keeps the choice.
resolve() {
  resolved=$cache/debian-$(printf '%s\n' "${debs[@]}" "$(dpkg --print-architecture)" | sha256sum | cut -c 1-16).list
  [[ -s $resolved && ${1:-} != --update ]] && return
  if [[ ${1:-} == --update ]] || ! locations >"$work/list"; then
    step "reading Debian's package lists" apt-get -q update
    locations >"$work/list" || fail "Debian does not offer the packages: $(tail -n 2 "$work/apt.log")"
  fi
  [[ $(wc -l <"$work/list") -eq ${#debs[@]} ]] || fail "not every package of $package/debian.txt was found: $(cat "$work/apt.log")"
  mv "$work/list" "$resolved"
}

# faulty prints the names of the package files that are not in the cache, whole.
faulty() {
  (cd "$cache/debs" && awk '{ sub("SHA256:", "", $4); print $4 "  " $2 }' "$resolved" | sha256sum --check --quiet 2>/dev/null | sed 's/: [^:]*$//') || true
}

# fetch downloads what is missing.
fetch() {
  local file missing=()
  for file in $(faulty); do
    missing+=("${file%%_*}=$(version_of "$file")")
  done
  ((${#missing[@]})) || return 0
  mkdir -p "$work/debs"
  step "downloading ${#missing[@]} Debian packages" \
    env -C "$work/debs" apt-get -q -o APT::Sandbox::User=root download "${missing[@]}" || return 1
  mv "$work"/debs/*.deb "$cache/debs/"
  file=$(faulty)
  [[ -z $file ]] || fail "not what Debian's index says: $file"
}

# version_of reads a version from a package's file name, where ":" is "%3a".
version_of() {
  local version=${1#*_}
  version=${version%_*}
  printf '%s' "${version//%3a/:}"
}

# stage lays out the release as create-release wants it, blobs included.
stage() {
  local file digest size
  mkdir -p "$work/release/blobs/debian" "$work/release/src"
  cp -R "$here/config" "$here/jobs" "$here/packages" "$work/release/"
  rm "$work/release/$package/debian.txt"
  echo '---' >"$work/release/config/blobs.yml"
  while read -r _ file size digest; do
    ln "$cache/debs/$file" "$work/release/blobs/debian/${file%%_*}.deb"
    printf 'debian/%s.deb:\n  size: %s\n  sha: sha256:%s\n' "${file%%_*}" "$size" "${digest#SHA256:}" >>"$work/release/config/blobs.yml"
  done <"$resolved"
  stage_program consul "$consul"
  stage_program pgkeeper "$pgkeeper"
}

# stage_program NAME FILE adds a static program as a blob like the others.
stage_program() {
  local blob=$work/release/blobs/$1/$1
  mkdir -p "${blob%/*}"
  ln "$2" "$blob" 2>/dev/null || cp "$2" "$blob"
  printf '%s/%s:\n  size: %s\n  sha: sha256:%s\n' "$1" "$1" "$(stat -c %s "$blob")" "$(sha256sum "$blob" | cut -d ' ' -f 1)" \
    >>"$work/release/config/blobs.yml"
}

# build_pgkeeper leaves the program as it is when nothing that it is made of has
# changed: Go looks at the content of all its sources. The same file for everybody.
build_pgkeeper() {
  pgkeeper=${PGKEEPER:-$cache/pgkeeper}
  [[ -z ${PGKEEPER:-} ]] || return 0
  CGO_ENABLED=0 GOFLAGS='-mod=readonly -trimpath -buildvcs=false' GOWORK=off \
    step "building pgkeeper" go build -C "$here/.." -v -ldflags '-s -w' -o "$pgkeeper" ./cmd/pgkeeper
}

# content_version names the staged release by what is in it and what made it.
content_version() {
  (
    cd "$work/release"
    find . -path ./blobs -prune -o -type f -printf '%m %P\n' | sort
    find . -path ./blobs -prune -o -type f -print0 | sort -z | xargs -0 sha256sum
  ) | sha256sum | cut -c 1-12 | sed "s/^/$base_version+c/"
}

create() {
  local tarball=$1 version=$2
  CGO_ENABLED=0 GOFLAGS='-mod=readonly -trimpath -buildvcs=false' GOWORK=off \
    step "creating the release $name/$version" go run -C "$here/.." ./boshrelease/create -dir "$work/release" \
    -name "$name" -version "$version" -tarball "$work/release.tgz"
  mv "$work/release.tgz" "$tarball"
}

# prune keeps the newest builds and the packages in use.
prune() {
  local file
  find "$cache" -maxdepth 1 -name "$name-*.tgz" -printf '%T@ %p\n' | sort -rn | tail -n +4 | cut -d ' ' -f 2- | xargs -r rm -f
  for file in "$cache"/debs/*.deb; do
    grep -qF " ${file##*/} " "$cache"/debian-*.list || rm -f "$file"
  done
}

main() {
  local version tarball
  need
  mkdir -p "$cache/debs"
  exec 9>"$cache/lock"
  flock -n 9 || step "waiting for another build" flock "$cache/lock" true
  flock 9
  work=$(mktemp -d "$cache/build.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  mapfile -t debs < <(grep -Ev '^(#|$)' "$here/$package/debian.txt" | sort)
  resolve "$@"
  # Mirrors drop superseded versions: what was chosen long ago may be gone.
  fetch || { resolve --update && fetch; } || fail "the Debian packages cannot be downloaded"
  build_pgkeeper
  stage
  version=$(content_version)
  tarball=$cache/$name-$version.tgz
  if [[ ! -f $tarball ]]; then
    create "$tarball" "$version"
    prune
  fi
  touch "$tarball"
  echo "$tarball"
}

main "$@"
