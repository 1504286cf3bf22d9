#!/bin/sh
# Trains into a folder, or goes on where it stopped: what a container does that is
# started anew after a fault, a restart of its machine, or an update.
#   STEIN_CONFIG=walker2d/sac train.sh FOLDER ARGUMENTS OF stein train
# Where the training has had all its steps, it ends well: docker then leaves it
# (restart: on-failure).
set -eu

folder=$1
shift
if ls "$folder"/checkpoints/step-*/manifest.json >/dev/null 2>&1; then
	steps=$(sed -n 's/^steps: *//p' "$folder/config.yaml")
	if [ -e "$folder/checkpoints/step-$(printf %09d "$steps")/manifest.json" ]; then
		echo "$folder has its $steps steps" >&2
		exit 0
	fi
	exec stein train --resume "$folder" "$@"
fi
if [ -e "$folder" ]; then
	# Nothing was learned there: it begins anew, by the arguments of now.
	mv "$folder" "$folder.never-began.$(date +%s)"
fi
exec stein train --config "$STEIN_CONFIG" --run-dir "$folder" "$@"
