#!/bin/sh
# Trains into a folder, or resumes the training there: for a container that is restarted
# after a fault, a reboot or an update.
#   STEIN_CONFIG=walker2d/sac train.sh FOLDER ARGUMENTS OF stein train
# If all steps are done it exits with code 0, so that docker does not restart it (restart:
# on-failure).
set -eu

folder=$1
shift
if ls "$folder"/checkpoints/step-*/manifest.json >/dev/null 2>&1; then
	steps=$(sed -n 's/^steps: *//p' "$folder/config.yaml")
	if [ -e "$folder/checkpoints/step-$(printf %09d "$steps")/manifest.json" ]; then
		echo "$folder already has its $steps steps" >&2
		exit 0
	fi
	exec stein train --resume "$folder" "$@"
fi
if [ -e "$folder" ]; then
	# There is no checkpoint to resume: start again with the current arguments.
	mv "$folder" "$folder.never-began.$(date +%s)"
fi
exec stein train --config "$STEIN_CONFIG" --run-dir "$folder" "$@"
