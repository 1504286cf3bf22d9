"""Steps per second of all fourteen configurations."""

from __future__ import annotations

import measure
from rl.section import train

ROUNDS = 1
STARTS = 400  # random steps
FOURTEEN = [
    *("sac", "sac-nf", "p-svgd", "met-sigma", "met-sigma-eps-notrace", "met-sigma-eps"),
    *("met-sigma-eps-nobound", "met-lc-m10", "met-mh-m10", "met-mh-greedy-m10"),
    *("met-m64", "met-lc-m64", "met-mh-m64", "met-mh-greedy-m64"),
]


def compare(_rounds: int) -> str:
    """Measures each once: the time of a run with the published schedule."""
    rows = []
    for name in FOURTEEN:
        slow = name.endswith("m64")
        got = train(
            f"walker2d/{name}",
            STARTS,
            (20, 40) if slow else (50, 150),
            {
                "schedule.train_every": 10,
                "schedule.fused_updates": 10,
                "replay.capacity": 10_000,
            },
        )
        rate = got["steps_per_s"]
        hours = 1e6 / rate / 3600
        rows.append([name, f"{rate:.1f}", f"{hours:.0f} h", f"{got['peak_mb']:.0f} MB"])
        print(f"  {name}: {rate:.1f} steps/s", flush=True)
    header = ["configuration", "steps/s", "1e6 steps take", "memory"]
    return (
        "Walker2d-v5, published sizes, an update for every step:\n\n"
        + measure.table(header, rows)
    )
