#!/usr/bin/env bash
# Measures Stein beside its peers, in one run, and prints the tables.
#
#   bench/run.sh [--only bridge|rl|update|agents|fourteen|sampler|ebm|growth] [--rounds N] [--record]
#
# The peers live in bench/.venv, set up here on the first run (several GB: torch and
# JAX). BENCH_PIP_ARGS goes to pip, for example to name an index of CPU-only wheels.
# --record writes the tables into docs/benchmarks.md, each as soon as it is measured.
# Stein's side needs what `make train` sets up.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=bench/.venv
stamp=$venv/.requirements
if ! cmp -s bench/requirements.txt "$stamp"; then
    echo "bench: setting up $venv (once)" >&2
    [ -x $venv/bin/python ] || python3 -m venv $venv
    # shellcheck disable=SC2086  # several arguments are meant
    $venv/bin/pip install --quiet --disable-pip-version-check ${BENCH_PIP_ARGS:-} -r bench/requirements.txt
    cp bench/requirements.txt "$stamp"
fi
mkdir -p bench/out
go build -o bench/out/sampler-bench ./bench/sampler
go build -o bench/out/ebm-bench ./bench/ebm
go build -o bench/out/bridge-bench ./bench/bridge
go build -o bench/out/update-bench ./bench/update
go build -buildvcs=false -o bench/out/stein ./cmd/stein
exec $venv/bin/python bench/compare.py "$@"
