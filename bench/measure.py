"""Runs measurements in separate processes and formats tables."""

from __future__ import annotations

import json
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parent.parent
PYTHON = str(ROOT / "bench/.venv/bin/python")

Record = dict[str, Any]


def run(command: Sequence[str | pathlib.Path], cwd: pathlib.Path = ROOT) -> Record:
    """Runs a command and returns the JSON object in its last line of output."""
    out = output(command, cwd)
    try:
        return json.loads(out.strip().splitlines()[-1])
    except (IndexError, ValueError) as e:
        raise SystemExit(f"bench: {' '.join(map(str, command))} printed no result:\n{out}") from e


def output(command: Sequence[str | pathlib.Path], cwd: pathlib.Path = ROOT) -> str:
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(
            f"bench: {' '.join(map(str, command))} failed with {done.returncode}:\n"
            + done.stderr[-2000:]
        )
    return done.stdout


def interleave(rounds: int, parts: dict[str, Callable[[], Record]]) -> dict[str, list[Record]]:
    """Runs the parts A B C A B C …, so that a slow phase of the machine affects all."""
    results: dict[str, list[Record]] = {name: [] for name in parts}
    for i in range(rounds):
        for name, part in parts.items():
            print(f"  {name}, round {i + 1} of {rounds}", file=sys.stderr, flush=True)
            results[name].append(part())
    return results


def median(records: list[Record], key: str) -> float:
    return statistics.median(r[key] for r in records)


def peak(records: list[Record]) -> float:
    return max(r["peak_mb"] for r in records)


def verdict(ratio: float, target: float | None, named: bool = False) -> str:
    """A ratio and whether it is at least its target; named says the target as well."""
    if target is None:
        return f"{ratio:.2f} ×"
    word = "met" if ratio >= target else "missed"
    return f"{ratio:.2f} × ({f'≥ {target:g}: ' if named else ''}{word})"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with its columns aligned, the first to the left."""
    widths = [max(len(r[i]) for r in [header, *rows]) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            c.ljust(n) if i == 0 else c.rjust(n)
            for i, (c, n) in enumerate(zip(cells, widths, strict=True))
        ]
        return "| " + " | ".join(padded) + " |"

    rule = ["-" * n if i == 0 else "-" * (n - 1) + ":" for i, n in enumerate(widths)]
    return "\n".join([line(header), line(rule), *map(line, rows)])


def machine() -> str:
    """Describes the machine: cores and processor, without name or address."""
    cores = len([None for line in open("/proc/cpuinfo") if line.startswith("processor")])
    model = next(
        (line.split(":")[1].strip() for line in open("/proc/cpuinfo") if "model name" in line),
        "unknown processor",
    )
    return f"{cores}-core {model}"


def others(seconds: float = 3.0) -> float:
    """The processor load caused by others, measured while idle."""

    def ticks() -> tuple[int, int]:
        first = pathlib.Path("/proc/stat").read_text().splitlines()[0]
        each = [int(t) for t in first.split()[1:9]]
        return sum(each), each[3] + each[4]  # idle, and idle while waiting for a disk

    (total, idle), _, (total2, idle2) = ticks(), time.sleep(seconds), ticks()
    return 1 - (idle2 - idle) / (total2 - total)


def company(busy: float) -> str:
    """A warning if other programs used the machine: such times are not reliable."""
    return "" if busy < 0.1 else f", **beside other work ({busy:.0%} of the processors): indicative only**"
