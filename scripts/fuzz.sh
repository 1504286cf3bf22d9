#!/usr/bin/env bash
# Runs every fuzz target of the module briefly, or those whose package or name contains
# one of the arguments:
#   scripts/fuzz.sh               FUZZTIME=5s each
#   FUZZTIME=10m scripts/fuzz.sh FuzzLoad
#   FUZZTIME=3000x scripts/fuzz.sh  3000 inputs each, without a time limit
# CI counts inputs, because on a busy machine go test can report the end of the time as a
# failure of the target ("context deadline exceeded"). `go test` saves inputs that fail in
# the package's testdata/fuzz: commit them with the fix.
set -euo pipefail
cd "$(dirname "$0")/.."

ran=0
while IFS=: read -r file _ line; do
	target=$(sed -E 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/' <<<"$line")
	package=./$(dirname "$file")
	if [ $# -gt 0 ] && ! grep -qF "$(printf '%s\n' "$@")" <<<"$package $target"; then
		continue
	fi
	ran=$((ran + 1))
	go test "$package" -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-5s}" -fuzzminimizetime 5s
done < <(git grep -n '^func Fuzz' -- '*_test.go')
if [ "$ran" = 0 ]; then
	echo "no fuzz target matches: $*" >&2
	exit 2
fi
echo "$ran fuzz targets, ${FUZZTIME:-5s} each: nothing found"
