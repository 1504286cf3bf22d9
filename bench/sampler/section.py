"""The policy-update workload: Stein's sampler, `svgd` on PyTorch, plain JAX."""

from __future__ import annotations

import functools

import measure

FOLDER = measure.ROOT / "bench/sampler"
STEIN = measure.ROOT / "bench/out/sampler-bench"
# A round's timed updates, by M: each peer runs a second or more.
UPDATES = {10: {"stein": 20, "svgd": 10, "jax": 20}, 64: {"stein": 4, "svgd": 2, "jax": 3}}


def one(who: str, particles: int) -> measure.Record:
    sizes = ["--particles", str(particles), "--reps", str(UPDATES[particles][who])]
    if who == "stein":
        return measure.run([STEIN, "policy", *sizes])
    warm = "1" if particles > 10 else "2"
    command = [measure.PYTHON, f"{who}_peer.py", *sizes, "--warmup", warm]
    return measure.run(command, cwd=FOLDER)


def compare(rounds: int) -> str:
    rows = []
    for m, updates in UPDATES.items():
        got = measure.interleave(
            rounds, {f"{who} M={m}": functools.partial(one, who, m) for who in updates}
        )
        stein, svgd, jax = (got[f"{who} M={m}"] for who in ("stein", "svgd", "jax"))
        t = [measure.median(r, "median_ms") for r in (stein, svgd, jax)]
        rows.append(
            [f"M = {m}"]
            + [f"{v:.0f} ms" for v in t]
            + [f"{t[1] / t[0]:.2f} ×", f"{t[2] / t[0]:.2f} ×"]
            + [f"{measure.peak(r):.0f} MB" for r in (stein, svgd, jax)]
        )
    header = ["update", "Stein", "svgd", "JAX", "svgd / Stein", "JAX / Stein"]
    memory = ["memory: Stein", "svgd", "JAX"]
    floor = measure.run([STEIN, "image", "--reps", "20"])
    products, beyond = floor["two_products_ms"], floor["beyond_score_ms"]
    rows_image = [
        ["two products [64×3072]·[3072×64], [64×64]·[64×3072]", f"{products:.3f} ms", ""],
        ["a step without the trace term", f"{beyond:.3f} ms", f"{beyond / products:.2f} ×"],
    ]
    return (
        "Policy update, forward and backward (B = 100, D = 6, L = 3):\n\n"
        + measure.table(header + memory, rows)
        + "\n\nOne step beyond the score on images (D = 3072, M = 64):\n\n"
        + measure.table(["work", "time", "ratio"], rows_image)
    )
