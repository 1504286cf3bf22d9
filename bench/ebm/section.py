"""One update of an image model on Stein and in JAX: the same network and sampler."""

from __future__ import annotations

import functools

import measure

FOLDER = measure.ROOT / "bench/ebm"
STEIN = measure.ROOT / "bench/out/ebm-bench"
TARGET = 1 / 1.15  # JAX's time over Stein's


def one(who: str) -> measure.Record:
    if who == "stein":
        return measure.run([STEIN])
    return measure.run([measure.PYTHON, "jax_peer.py"], cwd=FOLDER)


def compare(rounds: int) -> str:
    got = measure.interleave(
        rounds, {who: functools.partial(one, who) for who in ("stein", "jax")}
    )
    ms = {who: measure.median(r, "median_ms") for who, r in got.items()}
    row = ["met-sigma-eps, tiny"] + [f"{v:.0f} ms" for v in ms.values()]
    row += [measure.verdict(ms["jax"] / ms["stein"], round(TARGET, 2), named=True)]
    row += [f"{measure.peak(r):.0f} MB" for r in got.values()]
    return (
        "One update of energy and sampler (28×28, 32 particles, 32 pictures, L = 5):\n\n"
        + measure.table(
            ["update", "Stein", "JAX", "JAX / Stein", "memory: Stein", "JAX"], [row]
        )
    )
