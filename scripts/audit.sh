#!/usr/bin/env bash
# Looks for known vulnerabilities in Stein's dependencies: in Go modules, if the code
# calls the affected functions (govulncheck), and in Python packages (pip-audit). Both
# query databases on the network.
#   exit code 0   no known vulnerability
#             1   at least one, which is printed
#             3   a database could not be queried, which is printed; the other has none
set -uo pipefail
cd "$(dirname "$0")/.."

GOVULNCHECK=golang.org/x/vuln/cmd/govulncheck@v1.9.0
PIP_AUDIT=pip-audit==2.10.1
python=${PYTHON:-python3}
known=0 unasked=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

echo "audit: Go modules"
go run "$GOVULNCHECK" ./... >"$log" 2>&1
case $? in
0) tail -n 3 "$log" ;;
3) known=1 && cat "$log" ;; # govulncheck's code for a finding
*)
	unasked=1
	echo "audit: Go modules were NOT checked: govulncheck cannot be installed, or cannot reach its database:"
	tail -n 3 "$log" | sed 's/^/    /'
	;;
esac

echo "audit: Python packages"
if [ ! -x .build/audit/bin/pip-audit ]; then
	mkdir -p .build
	"$python" -m venv .build/audit && .build/audit/bin/pip install --quiet --disable-pip-version-check "$PIP_AUDIT" || rm -rf .build/audit
fi
for file in requirements*.txt bench/requirements.txt python_env/requirements*.txt; do
	[ -e "$file" ] || continue
	# The files pin every package, so nothing needs to be resolved.
	.build/audit/bin/pip-audit --progress-spinner off --disable-pip --no-deps -r "$file" >"$log" 2>&1
	code=$?
	skipped=$(grep -c 'could not be audited' "$log")
	if [ "$code" = 0 ] && [ "$skipped" -gt 0 ]; then
		# pip-audit exits with 0 then; without its database it skips every package.
		unasked=1
		echo "audit: $skipped packages of $file were NOT checked: the database cannot be reached, or does not list them"
	elif [ "$code" = 0 ]; then
		echo "$file: $(tail -n 1 "$log")"
	elif grep -q '^Found [0-9]' "$log"; then
		known=1
		echo "$file:"
		cat "$log"
	else
		unasked=1
		echo "audit: $file was NOT checked: pip-audit cannot be installed, or cannot reach its database:"
		tail -n 3 "$log" | sed 's/^/    /'
	fi
done

[ "$known" = 0 ] || exit 1
[ "$unasked" = 0 ] || exit 3
