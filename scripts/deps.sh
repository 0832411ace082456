#!/usr/bin/env bash
# Installs the Debian packages that Holdfast needs on this machine and that
# are missing: `deps.sh run` for the local stack, `deps.sh test` for the tests
# and linters as well. Does nothing, quickly, when all are there.
set -euo pipefail

# Each line: the package, and a file that shows it is there.
run_packages() {
  cat <<'LIST'
ca-certificates /usr/sbin/update-ca-certificates
e2fsprogs /sbin/mkfs.ext4
iproute2 /sbin/ip
mmdebstrap /usr/bin/mmdebstrap
mount /bin/mount
ruby /usr/bin/ruby
tar /bin/tar
util-linux /usr/bin/nsenter
xz-utils /usr/bin/xz
LIST
}

test_packages() {
  cat <<'LIST'
gcc /usr/bin/gcc
libc6-dev /usr/include/stdlib.h
nftables /usr/sbin/nft
postgresql-15 /usr/lib/postgresql/15/bin/postgres
shellcheck /usr/bin/shellcheck
LIST
}

missing() {
  local package file
  while read -r package file; do
    [ -e "$file" ] || printf '%s\n' "$package"
  done
}

install_packages() { # packages…
  export DEBIAN_FRONTEND=noninteractive
  # A fresh PostgreSQL package would start a server of its own: the tests want
  # the binaries only.
  if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
  fi
  apt-get update
  apt-get install -y --no-install-recommends "$@"
}

main() {
  local wanted
  case ${1:-} in
    run) wanted=$(run_packages | missing) ;;
    test) wanted=$({ run_packages; test_packages; } | missing) ;;
    --install) shift; install_packages "$@"; return ;;
    *) echo 'usage: deps.sh run|test' >&2; exit 2 ;;
  esac
  [ -n "$wanted" ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    printf 'FAILED: these Debian packages are missing and only root can install them: %s\n' "$(echo "$wanted" | tr '\n' ' ')" >&2
    exit 1
  fi
  # shellcheck disable=SC2086 # one word a package
  "$(dirname "$0")/step.sh" "installing $(tr '\n' ' ' <<<"$wanted")" "$0" --install $wanted
}

main "$@"
