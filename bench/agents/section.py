"""Whole training steps of the particle agents compared with the same agents on `svgd`; the latency
of an action for one state."""

from __future__ import annotations

import functools
import re

import measure
from rl.section import train

AGENT = measure.ROOT / "bench/agents/svgd_agent.py"
# First random steps, then rounds of that many steps and as many updates; the clock starts
# after the warm-up rounds. With 64 particles a step of svgd takes seconds.
STARTS = 400
ROUND = {10: 50, 64: 2}
TIMED = {10: 2, 64: 2}
TARGETS = {10: 1.8, 64: 8.0}
KINDS = ("p-svgd", "met-sigma-eps")


def stein(kind: str, particles: int) -> measure.Record:
    k = 10  # fused updates
    warmup = 20 if particles > 10 else 50
    settings = {
        "agent.particles": particles,
        "schedule.train_every": k,
        "schedule.fused_updates": k,
        "replay.capacity": 10_000,
    }
    timed = 20 if particles > 10 else 100
    got = train(f"walker2d/{kind}", STARTS, (warmup, warmup + timed), settings)
    return got | {"step_ms": 1e3 / got["steps_per_s"]}


def peer(kind: str, particles: int) -> measure.Record:
    sizes = ["--kind", kind, "--particles", particles, "--starts", STARTS]
    sizes += ["--round", ROUND[particles], "--rounds", TIMED[particles]]
    return measure.run([measure.PYTHON, AGENT, *map(str, sizes)])


def compare(rounds: int) -> str:
    return "\n\n".join([steps(rounds), acting()])


def steps(rounds: int) -> str:
    rows = []
    for kind in KINDS:
        for m, target in TARGETS.items():
            got = measure.interleave(
                rounds if m == 10 else 1,
                {
                    f"Stein {kind} M={m}": functools.partial(stein, kind, m),
                    f"svgd {kind} M={m}": functools.partial(peer, kind, m),
                },
            )
            own, other = (measure.median(r, "step_ms") for r in got.values())
            rows.append(
                [f"{kind}, M = {m}", f"{own:.0f} ms", f"{other:.0f} ms"]
                + [measure.verdict(other / own, target, named=True)]
                + [f"{measure.peak(r):.0f} MB" for r in got.values()]
            )
    header = ["agent", "Stein", "svgd", "svgd / Stein", "memory: Stein", "svgd"]
    return (
        "A training step, acting, simulating and updating all parts once:\n\n"
        + measure.table(header, rows)
    )


def acting() -> str:
    """Medians of the benchmark in agents/, with one state at a time."""
    out = measure.output(
        [
            "go",
            "test",
            "./agents/sac",
            "-run",
            "^$",
            "-bench",
            "^BenchmarkAct$",
            "-benchtime",
            "2000x",
        ]
    )
    rows = [
        [name.replace("_", " "), f"{float(p50):.2f} ms", f"{float(p99):.2f} ms"]
        for name, p50, p99 in re.findall(
            r"^BenchmarkAct/(\S+?)(?:-\d+)?\s.*?([\d.]+) p50-ms\s+([\d.]+) p99-ms",
            out,
            re.MULTILINE,
        )
    ]
    if not rows:
        raise SystemExit(f"bench: no figures in\n{out}")
    return (
        "Acting for one state, Walker2d's sizes (p50 < 3 ms at M = 10):\n\n"
        + measure.table(["policy", "p50", "p99"], rows)
    )
