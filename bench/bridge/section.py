"""Environment steps per second, through the bridge and in Python."""

from __future__ import annotations

import functools

import measure

PYTHON_STEPS = measure.ROOT / "bench/bridge/python_steps.py"
BRIDGE = measure.ROOT / "bench/out/bridge-bench"
SIZES = ((1, 1), (1, 8), (2, 4))
SECONDS = 3.0
TARGETS = {(1, 1): 0.75, (1, 8): 0.90}  # of Python's


def arguments(workers: int, copies: int) -> list[str]:
    return ["--workers", str(workers), "--copies", str(copies), "--seconds", str(SECONDS)]


def bridge(workers: int, copies: int) -> measure.Record:
    return measure.run([BRIDGE, *arguments(workers, copies)])


def python(workers: int, copies: int) -> measure.Record:
    return measure.run([measure.PYTHON, PYTHON_STEPS, *arguments(workers, copies)])


def compare(rounds: int) -> str:
    rows = []
    for size in SIZES:
        name = f"{size[0]} × {size[1]}"
        got = measure.interleave(
            rounds,
            {
                f"bridge {name}": functools.partial(bridge, *size),
                f"Python {name}": functools.partial(python, *size),
            },
        )
        through, direct = (measure.median(r, "steps_per_s") for r in got.values())
        share, target = through / direct, TARGETS.get(size)
        word = "" if target is None else f" (≥ {target:.0%}: {'met' if share >= target else 'missed'})"
        rows.append([name, f"{through:.0f}", f"{direct:.0f}", f"{share:.0%}{word}"])
    return "Walker2d-v5 steps a second:\n\n" + measure.table(
        ["workers × copies", "bridge", "Python", "share"], rows
    )
