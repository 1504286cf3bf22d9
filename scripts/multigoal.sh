#!/usr/bin/env bash
# Trains SAC, P-SVGD and MET-SVGD on the multi-goal plane with five seeds each, evaluates
# each for 60 episodes with its test-time actions (SAC the mean, particle policies a random
# particle) and 60 with sampled actions, and prints the goals reached and the policies'
# entropies.
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
