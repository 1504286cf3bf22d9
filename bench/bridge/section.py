"""Environment steps per second, through the bridge and in Python."""

from __future__ import annotations

import functools

import measure

PYTHON_STEPS = measure.ROOT / "bench/bridge/python_steps.py"
WORKERS = measure.ROOT / ".venv/bin/python"  # the workers' Python, with their pyzmq
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


def echo() -> measure.Record:
    return measure.run([BRIDGE, "-echo", WORKERS, "--seconds", str(SECONDS)])


def compare(rounds: int) -> str:
    rows, spent = [], {}
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
        spent[size] = 1e6 / through, 1e6 / direct
        rows.append([name, f"{through:.0f}", f"{direct:.0f}", f"{share:.0%}{word}"])
    trip = measure.median(measure.interleave(rounds, {"echo": echo})["echo"], "us")
    whole, step = spent[1, 1]
    account = [
        ["the simulator's step", f"{step:.0f} µs"],
        ["a round trip of ZeroMQ between Go and Python", f"{trip:.0f} µs"],
        ["the rest: protobuf, arrays, supervision, bookkeeping", f"{whole - step - trip:.0f} µs"],
        ["a step through the bridge", f"{whole:.0f} µs"],
    ]
    return (
        "Walker2d-v5 steps a second:\n\n"
        + measure.table(["workers × copies", "bridge", "Python", "share"], rows)
        + "\n\nWhere a step of one copy goes:\n\n"
        + measure.table(["part", "time"], account)
    )
