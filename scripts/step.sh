#!/usr/bin/env bash
# Runs one long command quietly: `step.sh TITLE COMMAND [ARG …]` prints the
# title, a sign of life every few seconds, and how long it took. A failure
# prints the end of the output and one clear line, and keeps the exit status.
set -euo pipefail

alive() { # title's log, start
  local log=$1 begin=$2 last never
  exec {never}<> <(:) # nothing is ever written to it: the pause is no process that outlives this one
  while true; do
    read -rt 3 -u "$never" _ || true
    last=$(tail -c 400 "$log" | tr '\r' '\n' | grep -v '^[[:space:]]*$' | tail -n 1 | cut -c1-100 || true)
    printf '    %4d s  %s\n' $((SECONDS - begin)) "$last"
  done
}

main() {
  local title=$1 log begin=$SECONDS status=0 watcher
  shift
  log=$(mktemp)
  printf '==> %s\n' "$title"
  alive "$log" "$begin" &
  watcher=$!
  # shellcheck disable=SC2064 # the values of now
  trap "kill $watcher 2>/dev/null || true; rm -f '$log'" EXIT
  # With garbage left lying up to a bound, Go's compiler takes a tenth less time.
  GOGC=400 GOMEMLIMIT=1GiB "$@" >"$log" 2>&1 </dev/null || status=$?
  if [ "$status" -ne 0 ]; then
    tail -n 25 "$log" | sed 's/^/    | /'
    printf 'FAILED: %s (exit status %d)\n' "$title" "$status" >&2
    exit "$status"
  fi
  printf '    done in %d s\n' $((SECONDS - begin))
}

main "$@"
