"""An update of each workload beside its matrix products alone, and its other parts."""

from __future__ import annotations

import functools
import statistics

import measure

STEIN = measure.ROOT / "bench/out/update-bench"
WORKLOADS = {
    "SAC, batch 256": "walker2d/sac-sb3",
    "sac-fast": "walker2d/sac-fast",
    "met-fast": "walker2d/met-fast",
    "met-sigma-eps, M = 10": "walker2d/met-sigma-eps",
    "p-svgd, M = 10": "walker2d/p-svgd",
}
PARTS = ("products", "rest", "optimiser", "copies")
HEADER = [
    "workload",
    "our update (ms)",
    "its products alone (ms)",
    "multiple",
    "products / element-wise and rest / optimiser / copies and call",
]


def one(config: str) -> measure.Record:
    return measure.run([STEIN, "--config", config])


def row(name: str, records: list[measure.Record]) -> list[str]:
    update = measure.median(records, "update_cpu_ms")
    if "products_cpu_ms" not in records[0]:  # the engine is not XLA
        return [name, f"{update:.2f}", *["not measured"] * 3]
    products = measure.median(records, "products_cpu_ms")
    # Both figures of a multiple come from one process.
    multiple = statistics.median(
        r["update_cpu_ms"] / r["products_cpu_ms"] for r in records
    )
    parts = (measure.median(records, f"{part}_cpu_ms") / update for part in PARTS)
    return [
        name,
        f"{update:.2f}",
        f"{products:.2f}",
        f"{multiple:.2f} ×",
        " / ".join(f"{part:.0%}" for part in parts),
    ]


def compare(rounds: int) -> str:
    got = measure.interleave(
        rounds, {name: functools.partial(one, c) for name, c in WORKLOADS.items()}
    )
    rows = [row(name, records) for name, records in got.items()]
    return (
        "An update, in processor time of an engine with one thread:\n\n"
        + measure.table(HEADER, rows)
    )
