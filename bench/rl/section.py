"""SAC on Walker2d-v5, one update a step: Stein, Stable-Baselines3, SBX."""

from __future__ import annotations

import functools

import measure

PEER = measure.ROOT / "bench/rl/peer.py"
STEIN = measure.ROOT / "bin/stein"
BATCHES = (100, 256)
STARTS, WARMUP, UPDATES = 1000, 300, 1000


def peer(lib: str, batch: int) -> measure.Record:
    sizes = ["--starts", STARTS, "--warmup", WARMUP, "--updates", UPDATES, "--batch", batch]
    return measure.run([measure.PYTHON, PEER, "--lib", lib, *map(str, sizes)])


def compare(rounds: int) -> str:
    rows = []
    for batch in BATCHES:
        parts = {f"Stein, batch {batch}": functools.partial(stein, batch)}
        for lib in ("sb3", "sbx"):
            parts[f"{lib}, batch {batch}"] = functools.partial(peer, lib, batch)
        got = list(measure.interleave(rounds, parts).values())
        rate = [measure.median(r, "steps_per_s") for r in got]
        rows.append(
            [str(batch)]
            + [f"{v:.0f}" for v in rate]
            + [f"{rate[0] / rate[1]:.2f} ×", f"{rate[0] / rate[2]:.2f} ×"]
            + [f"{measure.peak(r):.0f} MB" for r in got]
        )
    header = ["batch", "Stein", "SB3", "SBX", "Stein / SB3", "Stein / SBX"]
    return "SAC steps a second, one update a step:\n\n" + measure.table(
        header + ["memory: Stein", "SB3", "SBX"], rows
    )
