#!/usr/bin/env bash
# Generates docs/results/benchmark.md, its figures and its curves from the records of runs
# in docs/results/runs; its text is the README.md there. To add a record:
#   stein export RUN --format run --checkpoint none --out docs/results/runs/NAME
set -euo pipefail
cd "$(dirname "$0")/.."

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
bin/stein report docs/results/runs --out "$out"
cat docs/results/runs/README.md "$out/benchmark.md" >docs/results/benchmark.md
cp "$out/curves.csv" docs/results/data/benchmark_curves.csv
for figure in "$out"/*-along-eval-mean-reward.png; do
	cp "$figure" "docs/results/benchmark_$(basename "$figure" -along-eval-mean-reward.png).png"
done
