#!/usr/bin/env bash
# pid 1 of a test's node: a stemcell's root with its own processes, network and
# mounts. It lives until its standard input is closed.
set -euo pipefail

make_devices() {
  local device
  mount -t tmpfs -o mode=755 tmpfs "$root/dev"
  for device in null:3 zero:5 full:7 random:8 urandom:9; do
    mknod -m 666 "$root/dev/${device%:*}" c 1 "${device#*:}"
  done
  ln -s /proc/self/fd "$root/dev/fd"
  mkdir "$root/dev/shm"
  mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
}

main() {
  local lower=$1 dir=$2 store=$3 package home
  shift 3
  root=$dir/root
  mount --make-rprivate /
  mount -t overlay overlay -o "lowerdir=$lower,upperdir=$dir/upper,workdir=$dir/work" "$root"
  mount -t proc proc "$root/proc"
  make_devices
  mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
  for package in "$@"; do # name=folder
    home=$root/var/vcap/packages/${package%%=*}
    mkdir "$home"
    mount --bind "${package#*=}" "$home"
    mount -o remount,bind,ro "$home"
  done
  if [[ -n $store ]]; then
    mount --bind "$store" "$root/var/vcap/store"
  fi
  ip link set lo up
  cd "$root"
  mkdir -p .host
  pivot_root . .host
  umount -l /.host
  exec /usr/bin/tini -- cat
}

main "$@"
