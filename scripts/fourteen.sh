#!/usr/bin/env bash
# Trains the fourteen Walker2d configurations for 2,000 steps each with small networks and
# reports on them: an end-to-end check of a sweep. Fails if a trial fails.
#   scripts/fourteen.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${1:-runs/fourteen}
bin/stein sweep walker2d --seeds 1 --jobs 2 --out "$runs" \
  --set steps=2000 --set schedule.random_steps=400 --set schedule.learning_starts=400 \
  --set schedule.batch_size=16 --set 'policy.hidden=[32]' --set 'agent.critic.hidden=[32,32]' \
  --set eval.every=1000 --set eval.episodes=2 --set replay.capacity=10000 --set checkpoint.replay=false
exec bin/stein report "$runs" --out "$runs/report" --title "Fourteen configurations, 2,000 steps"
