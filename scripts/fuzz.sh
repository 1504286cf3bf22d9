#!/usr/bin/env bash
# Runs every fuzz target of the module for a moment, or those whose package or name
# has one of the words given:
#   scripts/fuzz.sh               FUZZTIME=5s each
#   FUZZTIME=10m scripts/fuzz.sh FuzzLoad
#   FUZZTIME=3000x scripts/fuzz.sh  3000 inputs each, whatever time they take
# CI counts inputs: go test takes the end of a time for a failure of the target
# ("context deadline exceeded") when it falls between two inputs on a busy machine.
# Inputs that fail are kept by `go test` below the package's testdata/fuzz: commit
# them with the repair.
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
	echo "no fuzz target has any of: $*" >&2
	exit 2
fi
echo "$ran fuzz targets, ${FUZZTIME:-5s} each: nothing found"
