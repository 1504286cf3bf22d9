"""SAC on Walker2d-v5, one update a step: Stein, Stable-Baselines3, SBX."""

from __future__ import annotations

import functools

import measure

PEER = measure.ROOT / "bench/rl/peer.py"
STEIN = measure.ROOT / "bin/stein"
BATCHES = (100, 256)
# K updates after every K steps. 1 is how the peers come, 8 how Stein does; a row
# gives the same schedule to all three, since fusing updates helps whoever does it.
SCHEDULES = (1, 8)
STARTS, WARMUP, UPDATES = 1000, 304, 1000  # each divisible by every K


def peer(lib: str, batch: int, every: int) -> measure.Record:
    sizes = ["--every", every, "--starts", STARTS, "--warmup", WARMUP, "--updates", UPDATES, "--batch", batch]
    return measure.run([measure.PYTHON, PEER, "--lib", lib, *map(str, sizes)])


def compare(rounds: int) -> str:
    rows = []
    for batch in BATCHES:
        for every in SCHEDULES:
            name = f"batch {batch}, {every} every {every}"
            parts = {f"Stein, {name}": functools.partial(stein, batch, every)}
            for lib in ("sb3", "sbx"):
                parts[f"{lib}, {name}"] = functools.partial(peer, lib, batch, every)
            got = list(measure.interleave(rounds, parts).values())
            rate = [measure.median(r, "steps_per_s") for r in got]
            rows.append(
                [str(batch), f"{every} every {every}"]
                + [f"{v:.0f}" for v in rate]
                + [f"{rate[0] / rate[1]:.2f} ×", f"{rate[0] / rate[2]:.2f} ×"]
                + [f"{measure.peak(r):.0f} MB" for r in got]
            )
    header = ["batch", "updates", "Stein", "SB3", "SBX", "Stein / SB3", "Stein / SBX"]
    return "SAC steps a second, as many updates as steps:\n\n" + measure.table(
        header + ["memory: Stein", "SB3", "SBX"], rows
    )
