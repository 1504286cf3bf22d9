#!/usr/bin/env bash
# Generates docs/results/benchmark.md, its figures and its curves from the records of runs
# in docs/results/runs and, of runs that went on for longer, docs/results/runs_long; its
# text is the README.md of the first. To add a record:
#   stein export RUN --format run --checkpoint none --out docs/results/runs/NAME
set -euo pipefail
cd "$(dirname "$0")/.."

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
bin/stein report docs/results/runs --out "$out"
bin/stein report docs/results/runs_long --out "$out/long"
{
	cat docs/results/runs/README.md "$out/benchmark.md"
	printf '\n## Walker2d-v5, on to 300,000 steps\n\nRuns of the table above that were resumed (`stein train --resume RUN --steps 300000 --threads 1`).\n\n'
	grep '^|' "$out/long/benchmark.md" | sed '/^| method/,$d'
	printf '\nAll curves: [CSV](data/benchmark_curves_long.csv).\n\n![curves](benchmark_long_walker2d-v5.png)\n'
} >docs/results/benchmark.md
cp "$out/curves.csv" docs/results/data/benchmark_curves.csv
cp "$out/long/curves.csv" docs/results/data/benchmark_curves_long.csv
for figure in "$out"/*-along-eval-mean-reward.png; do
	cp "$figure" "docs/results/benchmark_$(basename "$figure" -along-eval-mean-reward.png).png"
done
cp "$out"/long/*walker2d-v5-along-eval-mean-reward.png docs/results/benchmark_long_walker2d-v5.png
