#!/usr/bin/env bash
# Looks for known weaknesses in what Stein is built from: Go modules, as far as the
# code calls what is weak (govulncheck), and Python packages (pip-audit). Both ask
# databases on the network.
#   exit code 0   both were asked, and know of none
#             1   one is known: it is printed
#             3   a database could not be asked: it is printed which; the other knows of none
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
	echo "audit: Go modules were NOT checked: govulncheck can't be had, or reach its database:"
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
	# Files have every package with its version: nothing is to be resolved.
	.build/audit/bin/pip-audit --progress-spinner off --disable-pip --no-deps -r "$file" >"$log" 2>&1
	code=$?
	skipped=$(grep -c 'could not be audited' "$log")
	if [ "$code" = 0 ] && [ "$skipped" -gt 0 ]; then
		# pip-audit calls that well; without its database it is every package.
		unasked=1
		echo "audit: $skipped packages of $file were NOT checked: the database can't be reached, or doesn't know them"
	elif [ "$code" = 0 ]; then
		echo "$file: $(tail -n 1 "$log")"
	elif grep -q '^Found [0-9]' "$log"; then
		known=1
		echo "$file:"
		cat "$log"
	else
		unasked=1
		echo "audit: $file was NOT checked: pip-audit can't be had, or reach its database:"
		tail -n 3 "$log" | sed 's/^/    /'
	fi
done

[ "$known" = 0 ] || exit 1
[ "$unasked" = 0 ] || exit 3
