"""One update per step: Stein, Stable-Baselines3, SBX; SAC, and CrossQ on one core."""

from __future__ import annotations

import csv
import dataclasses
import functools
import math
import pathlib
import subprocess
import tempfile

import measure

PEER = measure.ROOT / "bench/rl/peer.py"
STEIN = measure.ROOT / "bench/out/stein"
BATCHES = (100, 256)
# K updates after every K steps. 1 is the peers' default, 8 Stein's. A row uses one
# schedule for all libraries, because fused updates make each of them faster.
SCHEDULES = (1, 8)
# Divisible by every K; the warm-up includes compilation.
STARTS, WARMUP, UPDATES = 400, 200, 600
TARGETS = {"SB3": 2.5, "SBX": 1.3}


@dataclasses.dataclass(frozen=True)
class Task:
    """A configuration, and peers of the same sizes."""

    config: str
    env: str
    batch: int
    every: int
    name: str = ""
    hidden: tuple[int, int] = (256, 256)
    libs: tuple[str, ...] = ("sb3", "sbx")
    target: float = 0  # steps per second
    updates: int = UPDATES
    threads: int = 1  # 0: as many as there are
    settings: tuple[tuple[str, object], ...] = ()

    def stein(self) -> measure.Record:
        sizes = {"schedule.batch_size": self.batch, "engine.threads": self.threads}
        schedule = {"schedule.train_every": self.every, "schedule.fused_updates": self.every}
        clock = (WARMUP, WARMUP + self.updates)
        return train(self.config, STARTS, clock, sizes | schedule | dict(self.settings))

    def peer(self, lib: str) -> measure.Record:
        sizes = ["--batch", self.batch, "--every", self.every, "--hidden", *self.hidden]
        clock = ["--starts", STARTS, "--warmup", WARMUP, "--updates", self.updates]
        where = ["--env", self.env, "--threads", self.threads]
        command = [measure.PYTHON, PEER, "--lib", lib, *sizes, *clock, *where]
        return measure.run([str(c) for c in command])

    def run(self, rounds: int) -> dict[str, list[measure.Record]]:
        parts = {f"Stein, {self.name}": self.stein}
        for lib in self.libs:
            parts[f"{lib}, {self.name}"] = functools.partial(self.peer, lib)
        return measure.interleave(rounds, parts)


SAC = functools.partial(Task, config="walker2d/sac-sb3", env="Walker2d-v5", threads=0)
SMALL = (("policy.hidden", "[64, 64]"), ("agent.critic.hidden", "[64, 64]"))
PENDULUM = functools.partial(
    Task,
    config="pendulum/sac",
    env="Pendulum-v1",
    batch=100,
    hidden=(64, 64),
    updates=4000,
    settings=SMALL,
)
FAST = functools.partial(
    Task,
    config="walker2d/sac-fast",
    env="Walker2d-v5",
    every=6,
    libs=("crossq",),
)
ONE_CORE = (
    PENDULUM(name="Pendulum, SAC, batch 100, 2 × 64, 8 every 8", every=8, target=1700),
    PENDULUM(name="the same, 1 every 1", every=1, target=1445),
    FAST(name="Walker2d, sac-fast, batch 256, 6 every 6", batch=256, target=100),
    FAST(name="the same, two threads", batch=256, threads=2, target=170),
    FAST(name="sac-fast as it is, batch 128", batch=128, target=100),
)


def train(
    config: str, starts: int, clock: tuple[int, int], settings: dict[str, object]
) -> measure.Record:
    """Trains with the real binary. The clock is the time column of metrics.csv, between two
    counts of steps after the random ones."""
    first, last = (starts + n for n in clock)
    settings = {
        "schedule.random_steps": starts,
        "schedule.learning_starts": starts,
        "eval.every": 0,
        "eval.episodes": 1,  # runs after the measurement
        "checkpoint.every": 0,
        "checkpoint.replay": "false",
        "log.every": math.gcd(first, last),
    } | settings
    with tempfile.TemporaryDirectory(prefix="stein-bench-") as folder:
        run = pathlib.Path(folder) / "run"
        command = [STEIN, "train", "--config", config, "--seed", 0, "--steps", last]
        command += ["--run-dir", run, *(f"--set={k}={v}" for k, v in settings.items())]
        peak_mb = watch([str(c) for c in command])
        with (run / "metrics.csv").open() as f:
            seconds = {
                int(row["step"]): float(row["time"]) for row in csv.DictReader(f)
            }
    return {
        "name": config,
        "steps_per_s": (last - first) / (seconds[last] - seconds[first]),
        "peak_mb": peak_mb,
    }


def watch(command: list[str]) -> float:
    """Runs a command and returns the peak memory of its process, in MB, without the
    worker processes that it starts; the peers run the environment in-process."""
    peak = 0.0
    with subprocess.Popen(
        command,
        cwd=measure.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as p:
        while True:
            try:
                out, _ = p.communicate(timeout=0.1)
                break
            except subprocess.TimeoutExpired:
                status = pathlib.Path(f"/proc/{p.pid}/status").read_text().splitlines()
                high = [
                    line.split()[1] for line in status if line.startswith("VmHWM")
                ]  # kB
                peak = max([peak, *(float(kb) / 1024 for kb in high)])
    if p.returncode != 0:
        raise SystemExit(
            f"bench: {' '.join(command)} failed with {p.returncode}:\n{out[-2000:]}"
        )
    return peak


def compare(rounds: int) -> str:
    rows = []
    for batch in BATCHES:
        for every in SCHEDULES:
            name = f"batch {batch}, {every} every {every}"
            got = list(SAC(batch=batch, every=every, name=name).run(rounds).values())
            own, *others = (measure.median(r, "steps_per_s") for r in got)
            rows.append(
                [str(batch), f"{every} every {every}"]
                + [f"{v:.0f}" for v in (own, *others)]
                + [
                    measure.verdict(own / v, target)
                    for v, target in zip(others, TARGETS.values(), strict=True)
                ]
                + [f"{measure.peak(r):.0f} MB" for r in got]
            )
    header = ["batch", "updates", "Stein", *TARGETS]
    header += [f"Stein / {lib} (≥ {target} ×)" for lib, target in TARGETS.items()]
    return (
        "SAC steps a second, as many updates as steps:\n\n"
        + measure.table([*header, "memory: Stein", *TARGETS], rows)
        + "\n\nSteps a second on one core:\n\n"
        + one_core(rounds)
    )


def one_core(rounds: int) -> str:
    rows = []
    for row in ONE_CORE:
        own, *others = (measure.median(r, "steps_per_s") for r in row.run(rounds).values())
        got = dict(zip(row.libs, others, strict=True))
        fastest = max(got.get("sbx", 0), got.get("crossq", 0))
        rows.append(
            [row.name, f"{own:.0f} ({'met' if own >= row.target else 'missed'})", f"{row.target:g}"]
            + [f"{got[lib]:.0f}" if lib in got else "" for lib in ("sb3", "sbx", "crossq")]
            + [f"{own / fastest:.2f} ×"]
        )
    header = ["task", "Stein", "wanted", "SB3", "SBX, SAC", "SBX, CrossQ", "Stein / SBX"]
    return measure.table(header, rows)
