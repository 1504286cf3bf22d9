"""The policy-update workload that every sampler peer runs, and how it is timed.

B states, M particles of D action dimensions, the smaller of two critics as the
target, L steps of MET-SVGD with the trace term, the spectral bound and learned
σ and ε; then the gradient of mean(log q − log p̄) by θ1 (mean and log-std of the
initial Gaussian), θ2 (σ) and θ3 (ε). Float32. A process measures one size, so
that its peak memory is that size's.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable

STATES = 100  # B
ACTION_DIM = 6  # D
OBS_DIM = 17
HIDDEN = 256
STEPS = 3  # L
ALPHA = 0.2  # temperature: log p̄ = min(Q1, Q2) / ALPHA
BANDWIDTH = 1.0  # σ and ε at the start
STEP_SIZE = 0.1
BOUND_ALPHA = 0.9


def arguments(doc: str) -> argparse.Namespace:
    p = argparse.ArgumentParser(description=doc)
    p.add_argument("--particles", type=int, default=10)
    p.add_argument("--reps", type=int, default=10, help="timed updates")
    p.add_argument("--warmup", type=int, default=2, help="updates before the clock starts, including compilation")
    return p.parse_args()


def measure(name: str, args: argparse.Namespace, update: Callable[[], float]) -> None:
    """Times update, which returns its loss when finished; prints one JSON line."""
    loss = 0.0
    for _ in range(args.warmup):
        loss = update()
    seconds = []
    for _ in range(args.reps):
        start = time.perf_counter()
        loss = update()
        seconds.append(time.perf_counter() - start)
    if loss != loss:
        raise SystemExit(f"{name}: loss is not a number")
    print(
        json.dumps(
            {
                "name": name,
                "particles": args.particles,
                "ms": [round(1e3 * s, 3) for s in seconds],
                "median_ms": 1e3 * statistics.median(seconds),
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "loss": loss,
            }
        )
    )
