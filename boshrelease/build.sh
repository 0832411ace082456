#!/usr/bin/env bash
# Builds the BOSH release holdfast-postgresql with `bosh create-release`. Prints
# the tarball's path on stdout, progress on stderr. The release's version is
# derived from its content, Debian's packages included, so an unchanged tree
# yields the same version and the same fingerprints. Everything is kept in the
# cache, nothing is written here. `build.sh --update` asks Debian for newer
# packages; without it those resolved once are used again.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
readonly home=${HOLDFAST_CACHE:-$HOME/.cache/holdfast}
readonly cache=$home/release
readonly bosh=${BOSH:-$home/bin/bosh}
readonly name=holdfast-postgresql base_version=0.1.0
readonly package=packages/postgresql-15

say() { printf 'release: %s\n' "$*" >&2; }

fail() {
  say "$*"
  exit 1
}

need() {
  local codename
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  [[ $codename == bookworm ]] || fail "Debian 12 (bookworm) is needed for its packages, this is ${codename:-unknown}"
  [[ -x $bosh ]] || fail "the bosh CLI is missing at $bosh (make bosh, or set BOSH)"
}

# locations prints "url file size SHA256:digest" of each Debian package.
locations() {
  apt-get -qq download --print-uris "${debs[@]}" 2>"$work/apt.log" | tr -d "'" | grep SHA256: | sort -u
}

# resolve chooses the version of every Debian package and keeps the choice.
resolve() {
  resolved=$cache/debian-$(printf '%s\n' "${debs[@]}" "$(dpkg --print-architecture)" | sha256sum | cut -c 1-16).list
  [[ -s $resolved && ${1:-} != --update ]] && return
  say "choose versions of ${#debs[@]} Debian packages"
  if [[ ${1:-} == --update ]] || ! locations >"$work/list"; then
    say "read Debian's package lists (apt-get update)"
    apt-get -qq update >"$work/apt.log" 2>&1 || fail "apt-get update failed: $(tail -n 2 "$work/apt.log")"
    locations >"$work/list" || fail "Debian does not offer the packages: $(tail -n 2 "$work/apt.log")"
  fi
  [[ $(wc -l <"$work/list") -eq ${#debs[@]} ]] || fail "not every package of $package/debian.txt was found: $(cat "$work/apt.log")"
  mv "$work/list" "$resolved"
}

# have tells whether a package file is in the cache, whole.
have() { [[ -f $cache/debs/$1 ]] && sha256sum --quiet --status -c - <<<"$2  $cache/debs/$1"; }

# fetch downloads what is missing, in one go, and says how far it is.
fetch() {
  local file digest missing=()
  while read -r _ file _ digest; do
    have "$file" "${digest#SHA256:}" || missing+=("${file%%_*}=$(version_of "$file")")
  done <"$resolved"
  ((${#missing[@]})) || return 0
  say "download ${#missing[@]} Debian packages"
  mkdir -p "$work/debs"
  (cd "$work/debs" && exec apt-get -q -o APT::Sandbox::User=root download "${missing[@]}") >"$work/apt.log" 2>&1 &
  local pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    sleep 2
    say "  … $(find "$work/debs" -name '*.deb' | wc -l) of ${#missing[@]}, $(du -sh "$work/debs" | cut -f 1)"
  done
  wait "$pid" || return 1
  mv "$work"/debs/*.deb "$cache/debs/"
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
    have "$file" "${digest#SHA256:}" || fail "$file is not what Debian's index says"
    ln "$cache/debs/$file" "$work/release/blobs/debian/${file%%_*}.deb"
    printf 'debian/%s.deb:\n  size: %s\n  sha: sha256:%s\n' "${file%%_*}" "$size" "${digest#SHA256:}" >>"$work/release/config/blobs.yml"
  done <"$resolved"
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
  say "create $name/$version"
  "$bosh" --non-interactive create-release --dir "$work/release" --sha2 --force \
    --version "$version" --tarball "$work/release.tgz" >"$work/create.log" 2>&1 || fail "$(tail -n 5 "$work/create.log")"
  mv "$work/release.tgz" "$tarball"
  say "built in $SECONDS s, $(du -h "$tarball" | cut -f 1)"
}

main() {
  local version tarball
  need
  mkdir -p "$cache/debs"
  exec 9>"$cache/lock"
  flock -w 1 9 || { say "waiting for another build" && flock 9; }
  work=$(mktemp -d "$cache/build.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  mapfile -t debs < <(grep -Ev '^(#|$)' "$here/$package/debian.txt" | sort)
  resolve "$@"
  # Mirrors drop superseded versions: what was chosen long ago may be gone.
  fetch || { resolve --update && fetch; } || fail "download failed: $(tail -n 3 "$work/apt.log")"
  stage
  version=$(content_version)
  tarball=$cache/$name-$version.tgz
  [[ -f $tarball ]] || create "$tarball" "$version"
  echo "$tarball"
}

main "$@"
