"""Running one measurement in a process of its own, and printing tables."""

from __future__ import annotations

import json
import pathlib
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parent.parent
PYTHON = str(ROOT / "bench/.venv/bin/python")

Record = dict[str, Any]


def run(command: Sequence[str | pathlib.Path], cwd: pathlib.Path = ROOT) -> Record:
    """Runs a command whose last line of output is a JSON object, and returns that."""
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


def watched(command: Sequence[str | pathlib.Path]) -> tuple[str, float, float]:
    """Runs a command; returns its output, seconds, and its own peak memory in MB.

    The peak is the kernel's high-water mark (VmHWM) of the process itself, read 20
    times a second, so that the memory of the processes it starts is not in it.
    """
    start = time.perf_counter()
    process = subprocess.Popen(
        list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    peak = 0.0
    over = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.05):
            try:
                status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
            except OSError:
                return
            for line in status.splitlines():
                if line.startswith("VmHWM:"):
                    peak = max(peak, int(line.split()[1]) / 1024)

    watcher = threading.Thread(target=watch)
    watcher.start()
    out, err = process.communicate()
    over.set()
    watcher.join()
    if process.returncode != 0:
        raise SystemExit(
            f"bench: {' '.join(map(str, command))} failed with {process.returncode}:\n{err[-2000:]}"
        )
    return out, time.perf_counter() - start, peak


def interleave(rounds: int, parts: dict[str, Callable[[], Record]]) -> dict[str, list[Record]]:
    """Runs the parts A B C A B C …, so that a slow spell of the machine meets them all."""
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
    """The machine in words: cores and processor, without its name or address."""
    cores = len([None for line in open("/proc/cpuinfo") if line.startswith("processor")])
    model = next(
        (line.split(":")[1].strip() for line in open("/proc/cpuinfo") if "model name" in line),
        "unknown processor",
    )
    return f"{cores}-core {model}"
