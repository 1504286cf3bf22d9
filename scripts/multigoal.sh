#!/usr/bin/env bash
# Trains SAC, P-SVGD and MET-SVGD on the multi-goal plane with five seeds each, sends each
# of them out 60 times, and prints who went where, and what the policies say of their entropy.
#   scripts/multigoal.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-runs/multigoal}
bin/stein sweep docs/results/multigoal.yaml --jobs 2 --out "$out"
for run in "$out"/multigoal-*-s*; do
  [ -e "$run/eval.json" ] ||
    bin/stein eval "$run" --episodes 60 --stochastic --plot "$run/plane.png" --json >"$run/eval.json"
done
exec .venv/bin/python scripts/multigoal_table.py "$out"
