"""SAC on Walker2d-v5, one update a step: Stable-Baselines3 and SBX."""

from __future__ import annotations

import functools

import measure

PEER = measure.ROOT / "bench/rl/peer.py"
BATCHES = (100, 256)
# K updates after every K steps. 1 is how the peers come, 8 how Stein does; a row
# gives one schedule to all, since fusing updates helps whoever does it.
SCHEDULES = (1, 8)
STARTS, WARMUP, UPDATES = 1000, 304, 1000  # each divisible by every K


def peer(lib: str, batch: int, every: int) -> measure.Record:
    sizes = ["--batch", batch, "--every", every]
    clock = ["--starts", STARTS, "--warmup", WARMUP, "--updates", UPDATES]
    return measure.run([measure.PYTHON, PEER, "--lib", lib, *map(str, sizes + clock)])


def compare(rounds: int) -> str:
    rows = []
    for batch in BATCHES:
        for every in SCHEDULES:
            parts = {
                f"{lib}, batch {batch}, {every} every {every}": functools.partial(
                    peer, lib, batch, every
                )
                for lib in ("sb3", "sbx")
            }
            got = list(measure.interleave(rounds, parts).values())
            rows.append(
                [str(batch), f"{every} every {every}"]
                + [f"{measure.median(r, 'steps_per_s'):.0f}" for r in got]
                + [f"{measure.peak(r):.0f} MB" for r in got]
            )
    header = ["batch", "updates", "SB3", "SBX", "memory: SB3", "SBX"]
    return "SAC steps a second, as many updates as steps:\n\n" + measure.table(header, rows)
