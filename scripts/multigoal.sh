#!/usr/bin/env bash
# Trains SAC, P-SVGD and MET-SVGD on the multi-goal plane with five seeds each, sends each
# of them out 60 times as it is tested (SAC by its mean, particles by the draw) and 60 times
# with drawn actions, and prints who went where, and what the policies say of their entropy.
#   scripts/multigoal.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-runs/multigoal}
bin/stein sweep docs/results/multigoal.yaml --jobs 2 --out "$out"
for run in "$out"/multigoal-*-s*; do
  [ -e "$run/tested.json" ] ||
    bin/stein eval "$run" --episodes 60 --plot "$run/tested.png" --json >"$run/tested.json"
  [ -e "$run/drawn.json" ] ||
    bin/stein eval "$run" --episodes 60 --stochastic --plot "$run/drawn.png" --json >"$run/drawn.json"
done
exec .venv/bin/python scripts/multigoal_table.py "$out"
