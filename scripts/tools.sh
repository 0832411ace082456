#!/usr/bin/env bash
# Builds a Go tool that go.mod pins (`tools.sh bosh|staticcheck`) once, into the
# cache, keyed by its version and Go's, and prints its path on stdout.
set -euo pipefail

package_of() {
  case $1 in
    bosh) echo github.com/cloudfoundry/bosh-cli/v7 ;;
    staticcheck) echo honnef.co/go/tools/cmd/staticcheck ;;
    *) echo "tools.sh: unknown tool '$1'" >&2; return 2 ;;
  esac
}

main() {
  local tool=$1 package module version path cache=${HOLDFAST_CACHE:-$HOME/.cache/holdfast}
  cd "$(dirname "$0")/.."
  package=$(package_of "$tool")
  module=${package%/cmd/*}
  version=$(go list -m -f '{{.Version}}' "$module")
  path=$cache/tools/$tool-$version-$(go env GOVERSION)
  if [ ! -x "$path" ]; then
    mkdir -p "$cache/tools"
    scripts/step.sh "building the $tool command $version" go build -v -o "$path.$$" "$package" >&2
    mv "$path.$$" "$path"
  fi
  echo "$path"
}

main "$@"
