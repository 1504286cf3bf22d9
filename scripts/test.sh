#!/usr/bin/env bash
# Tests packages (test.sh PACKAGES…): with the race detector those that start goroutines,
# without it the others. The detector makes the building of graphs and arithmetic in pure
# Go several times slower, and finds nothing where one goroutine does all.
set -euo pipefail
cd "$(dirname "$0")/.."

# -race turns pointer checks on, which GoMLX's matrix products in pure Go do not pass
# (they step one past the end of a slice): the checks alone go off.
race=(-race -gcflags=all=-d=checkptr=0)
# A process with the detector sleeps for a second when it ends, unless told.
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
