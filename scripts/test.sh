#!/usr/bin/env bash
# Tests packages (test.sh PACKAGES…): those that start goroutines with the race detector,
# the others without. The detector makes graph building and arithmetic in pure Go several
# times slower, and cannot find anything in code with a single goroutine.
set -euo pipefail
cd "$(dirname "$0")/.."

# -race also enables pointer checks, which GoMLX's matrix products in pure Go fail (they
# step one past the end of a slice): disable only these checks.
race=(-race -gcflags=all=-d=checkptr=0)
# By default a process with the detector sleeps for a second when it exits.
export GORACE=${GORACE:-atexit_sleep_ms=0}

raced=() plain=()
while read -r dir path; do
	if grep -qE '^\s*go [a-zA-Z].*\(|\.Go\(' "$dir"/*.go; then
		raced+=("$path")
	else
		plain+=("$path")
	fi
done < <(go list -f '{{.Dir}} {{.ImportPath}}' "$@")

status=0
if ((${#raced[@]})); then go test "${race[@]}" -timeout 25m "${raced[@]}" || status=$?; fi
if ((${#plain[@]})); then go test -timeout 25m "${plain[@]}" || status=$?; fi
exit "$status"
