#!/usr/bin/env bash
# Builds the stemcell of the local director: a minimal Debian with the real
# bosh-agent and monit, as a BOSH stemcell tarball. Prints its path on stdout,
# progress on stderr. What was built before from the same files is not built
# again. Needs root, mmdebstrap and Go.
set -euo pipefail

readonly suite=bookworm
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
readonly cache=${HOLDFAST_CACHE:-$HOME/.cache/holdfast}/stemcell
readonly agent=github.com/cloudfoundry/bosh-agent/v2
readonly path_in_root=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

say() { printf 'stemcell: %s\n' "$*" >&2; }

fail() {
  say "$*"
  exit 1
}

# step TEXT COMMAND…: runs it with its output in a log, says every few seconds
# that it is still at it, and shows the end of the log if it fails.
step() {
  local text=$1 started=$SECONDS pid
  shift
  say "$text"
  "$@" >"$work/log" 2>&1 &
  pid=$!
  while sleep 0.2 && kill -0 "$pid" 2>/dev/null; do
    if ((SECONDS - started > 0 && (SECONDS - started) % 4 == 0 && SECONDS != ${last_beat:-0})); then
      last_beat=$SECONDS
      say "  … $((SECONDS - started)) s: $(tail -n 1 "$work/log" | tr -d '\r' | cut -c 1-90)"
    fi
  done
  if ! wait "$pid"; then
    tail -n 25 "$work/log" >&2
    fail "failed: $text"
  fi
}

need() {
  local tool package
  [[ $EUID -eq 0 ]] || fail "must run as root"
  for tool in mmdebstrap:mmdebstrap unshare:util-linux tar:tar gzip:gzip flock:util-linux go:golang; do
    package=${tool#*:}
    tool=${tool%%:*}
    command -v "$tool" >/dev/null || fail "$tool is missing: apt-get install $package"
  done
}

# digest names a build by all that goes into it.
digest() {
  {
    cd "$here"
    find build.sh packages.txt files monitbridge -type f ! -name '*_test.go' -print0 | sort -z | xargs -0 sha256sum
    go list -m "$agent"
    go env GOARCH
  } | sha256sum | cut -c 1-24
}

build_programs() {
  cd "$here"
  export CGO_ENABLED=0
  go build -trimpath -ldflags '-s -w' -o "$work/bin/bosh-agent" "$agent/main"
  go build -trimpath -ldflags '-s -w' -o "$work/bin/monitbridge" ./monitbridge
}

# apt_sources lists this machine's own sources for the suite, as sources.list has them.
apt_sources() {
  # shellcheck disable=SC2016 # apt fills these in
  apt-get indextargets --format 'deb $(REPO_URI) $(CODENAME) main' 'Created-By: Packages' 'Component: main' |
    grep -E " $suite(-updates|-security)? main\$" | sort -u || true
}

# bootstrap installs Debian with this machine's package sources and settings,
# which stay its own.
bootstrap() {
  local wanted sources options=() setting path
  mapfile -t wanted < <(grep -Ev '^(#|$)' "$here/packages.txt")
  mapfile -t sources < <(apt_sources)
  while read -r setting; do
    options+=(--aptopt="$setting")
  done < <(apt-config dump | grep -E '^Acquire::(Check-|http|https|Retries)')
  # Nobody reads manuals in a VM, or completes words; PostgreSQL refuses time
  # zones that count leap seconds.
  for path in doc man info locale lintian bash-completion zoneinfo/right; do
    options+=(--dpkgopt="path-exclude=/usr/share/$path/*")
  done
  # Directories are merged as debootstrap does it, not by a package that needs Perl.
  mmdebstrap --mode=root --variant=minbase --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --include="usr-is-merged,$(IFS=,; echo "${wanted[*]}")" "${options[@]}" "$suite" "$root" "${sources[@]}"
  rm -f "$root"/etc/{apt/apt.conf.d,dpkg/dpkg.cfg.d}/99mmdebstrap
  : >"$root/etc/apt/sources.list"
  : >"$root/etc/resolv.conf"
}

# in_root runs a command in the new root with nothing of this machine's environment.
in_root() {
  env -i PATH="$path_in_root" HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
    ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
    chroot "$root" "$@"
}

add_users() {
  local group
  for group in admin:1001 bosh_sshers:1002 bosh_sudoers:1003; do
    in_root groupadd -g "${group#*:}" "${group%:*}"
  done
  in_root groupadd -r syslog
  in_root groupadd -g 1000 vcap
  in_root useradd -u 1000 -g vcap -G admin -m -d /home/vcap -s /bin/bash vcap
}

add_files() {
  local bosh=$root/var/vcap/bosh service
  cp -r --no-target-directory "$here/files" "$root"
  install -m 755 "$work/bin/bosh-agent" "$work/bin/monitbridge" "$bosh/bin/"
  # Under these names for the agent alone. igzip does not know all of gzip's
  # options. The agent runs chown for each file of a job; busybox need not be
  # linked first. As sh it will not do: it has a tar of its own, which lacks
  # options that the agent moves a disk's content with.
  mkdir -p "$bosh/agent-bin"
  ln -s /usr/bin/igzip "$bosh/agent-bin/gzip"
  ln -s /usr/bin/busybox "$bosh/agent-bin/chown"
  mkdir -p "$bosh/vm" "$root"/var/vcap/{data,monit/job,micro_bosh/data/cache} "$root/etc/resolvconf/resolv.conf.d"
  chmod 700 "$bosh/vm" "$bosh/etc/monitrc"
  chmod 600 "$root/var/vcap/monit/empty.monitrc"
  # monit starts before the agent writes this file, with what the agent will write.
  printf 'vcap:random-password' >"$root/var/vcap/monit/monit.user"
  chmod 600 "$root/var/vcap/monit/monit.user"
  rm -rf "$root/etc/service"
  mkdir -p "$root/etc/service"
  for service in agent monit monitbridge syslogd logrotate; do
    ln -s "/etc/sv/$service" "$root/etc/service/$service"
  done
}

# strip_root removes caches, and whatever would be this machine's or the same in all VMs.
strip_root() {
  rm -rf "$root"/var/cache/{apt,debconf,ldconfig}/* "$root"/var/lib/apt/lists/* "$root"/var/log/* \
    "$root"/usr/share/{doc,man,info,locale,lintian}/* "$root"/{tmp,run,root}/* "$root"/etc/ssh/ssh_host_* \
    "$root"/etc/{machine-id,hostname,hosts,mtab} "$root/var/lib/dbus/machine-id" \
    "$root"/var/lib/dpkg/*-old "$root"/etc/{passwd,group,shadow,gshadow,subuid,subgid}-
  mkdir -p "$root"/var/log/audit
  find "$root/dev" -mindepth 1 -delete
}

configure_root() {
  add_users
  add_files
  strip_root
}

write_manifest() {
  local name=holdfast-local-debian-$suite-go_agent version
  # The version grows with time, so that "latest" is the stemcell built last.
  version=1.$(date -u +%s)
  in_root dpkg-query -W >"$work/out/packages.txt"
  cat >"$work/out/stemcell.MF" <<EOF
---
name: $name
version: '$version'
bosh_protocol: 1
api_version: 3
sha1: $(sha1sum "$work/out/image" | cut -d ' ' -f 1)
operating_system: debian-$suite
stemcell_formats:
- holdfast-local
cloud_properties:
  name: $name
  version: '$version'
  infrastructure: holdfast-local
  architecture: $(go env GOARCH)
  root_device_name: none
EOF
}

pack_image() {
  tar -C "$root" --numeric-owner --one-file-system --sort=name -c . | gzip -5 >"$work/out/image"
}

pack_stemcell() {
  write_manifest
  tar -C "$work/out" -c stemcell.MF packages.txt image | gzip -1 >"$work/stemcell.tgz"
}

# assemble runs in a mount namespace of its own: whatever is mounted goes with it.
assemble() {
  mount --make-rprivate /
  mkdir -p "$root" "$work/out"
  # The programs are compiled while the packages are fetched.
  build_programs >"$work/go.log" 2>&1 &
  local programs=$!
  step "install Debian $suite" bootstrap
  step "compile the agent" tail --pid="$programs" -n +1 -f "$work/go.log"
  wait "$programs" || fail "failed: compile the agent: $(tail -n 5 "$work/go.log")"
  step "configure the root" configure_root
  step "pack the image" pack_image
  step "pack the stemcell" pack_stemcell
}

main() {
  if [[ ${1:-} == --assemble ]]; then
    work=$2 root=$2/root
    assemble
    return
  fi
  need
  mkdir -p "$cache"
  local target
  target=$cache/$(digest).tgz
  # One builder at a time; whoever waited finds it done.
  exec 9>"$cache/lock"
  if ! flock -n 9; then
    say "waiting for another build"
    while ! flock -w 4 9; do say "  … still waiting"; done
  fi
  if [[ ! -f $target ]]; then
    work=$(mktemp -d "$cache/build.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    unshare --mount --pid --fork --kill-child "${BASH_SOURCE[0]}" --assemble "$work"
    mv "$work/stemcell.tgz" "$target"
    # Earlier builds may still be in use elsewhere: the newest few stay.
    find "$cache" -maxdepth 1 -name '*.tgz' -printf '%T@ %p\n' | sort -rn | tail -n +4 | cut -d ' ' -f 2- | xargs -r rm -f
    say "built in $SECONDS s, $(du -h "$target" | cut -f 1)"
  fi
  echo "$target"
}

main "$@"
