"""The policy-update workload on the peers, and the matrix products an image step needs."""

from __future__ import annotations

import functools

import measure

FOLDER = measure.ROOT / "bench/sampler"
STEIN = measure.ROOT / "bench/out/sampler-bench"
# A round's timed updates, by M: each peer runs a second or more.
UPDATES = {10: {"svgd": 10, "jax": 20}, 64: {"svgd": 2, "jax": 3}}


def one(who: str, particles: int) -> measure.Record:
    sizes = ["--particles", str(particles), "--reps", str(UPDATES[particles][who])]
    warm = "1" if particles > 10 else "2"
    command = [measure.PYTHON, f"{who}_peer.py", *sizes, "--warmup", warm]
    return measure.run(command, cwd=FOLDER)


def compare(rounds: int) -> str:
    rows = []
    for m, updates in UPDATES.items():
        got = measure.interleave(
            rounds, {f"{who} M={m}": functools.partial(one, who, m) for who in updates}
        ).values()
        rows.append(
            [f"M = {m}"]
            + [f"{measure.median(r, 'median_ms'):.0f} ms" for r in got]
            + [f"{measure.peak(r):.0f} MB" for r in got]
        )
    floor = measure.run([STEIN, "--reps", "20"])
    return (
        "Policy update, forward and backward (B = 100, D = 6, L = 3):\n\n"
        + measure.table(["update", "svgd", "JAX", "memory: svgd", "JAX"], rows)
        + "\n\nThe two products [64×3072]·[3072×64] and [64×64]·[64×3072] in Stein's engine: "
        + f"{floor['two_products_ms']:.2f} ms."
    )
