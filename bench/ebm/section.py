"""One update of an image model on Stein and in JAX: the same network and sampler."""

from __future__ import annotations

import functools

import measure

FOLDER = measure.ROOT / "bench/ebm"
STEIN = measure.ROOT / "bench/out/ebm-bench"
# JAX's time over Stein's, by size of the energy.
TARGETS = {"tiny": 1.45, "small": 0.91}


def one(who: str, size: str) -> measure.Record:
    if who == "stein":
        return measure.run([STEIN, "--size", size])
    return measure.run([measure.PYTHON, "jax_peer.py", "--size", size], cwd=FOLDER)


def compare(rounds: int) -> str:
    rows = []
    for size, target in TARGETS.items():
        got = measure.interleave(
            rounds,
            {f"{who} {size}": functools.partial(one, who, size) for who in ("stein", "jax")},
        )
        stein, jax = (measure.median(r, "median_ms") for r in got.values())
        rows.append(
            [f"met-sigma-eps, {size}", f"{stein:.0f} ms", f"{jax:.0f} ms"]
            + [measure.verdict(jax / stein, target, named=True)]
            + [f"{measure.peak(r):.0f} MB" for r in got.values()]
        )
    return (
        "One update of energy and sampler (28×28, 32 particles, 32 pictures, L = 5):\n\n"
        + measure.table(
            ["update", "Stein", "JAX", "JAX / Stein", "memory: Stein", "JAX"], rows
        )
    )
