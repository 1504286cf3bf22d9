"""Time and peak memory of one MET-SVGD step as M and D grow."""

from __future__ import annotations

import csv
import functools

import matplotlib
import measure

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

STEIN = measure.ROOT / "bench/out/sampler-bench"
OUT = measure.ROOT / "bench/out"
FILES = ("sampler_growth.csv", "sampler_growth.png")  # in OUT; --record copies them to docs/results
ROUNDS = 1
FIXED_DIMS, FIXED_PARTICLES = 6, 64
BY_M = [(m, FIXED_DIMS) for m in (8, 16, 32, 64, 128, 256, 512)]
BY_D = [(FIXED_PARTICLES, d) for d in (2, 8, 32, 128, 512, 2048, 4096)]
CORNER = (512, 4096)
FIELDS = ("particles", "dims", "median_ms", "peak_mb", "engine_mb")


def step(particles: int, dims: int) -> measure.Record:
    reps = 3 if particles * dims > 1 << 20 else 9
    sizes = ["--particles", particles, "--dims", dims, "--reps", reps]
    return measure.run([STEIN, "step", *map(str, sizes)])


def compare(rounds: int) -> str:
    """Measures one round: points of a curve can be compared with their neighbours."""
    del rounds
    sizes = [*dict.fromkeys([*BY_M, *BY_D, CORNER])]
    parts = {f"step M={m} D={d}": functools.partial(step, m, d) for m, d in sizes}
    got = [r[0] for r in measure.interleave(1, parts).values()]
    records = dict(zip(sizes, got, strict=True))
    with (OUT / FILES[0]).open("w", newline="") as f:
        table = csv.DictWriter(f, FIELDS, extrasaction="ignore")
        table.writeheader()
        table.writerows({k: round(v, 4) for k, v in r.items() if k in FIELDS} for r in got)
    draw(records)
    rows = [
        [str(m), str(d), f"{r['median_ms']:.2f} ms", f"{r['peak_mb']:.0f} MB"]
        for (m, d), r in records.items()
    ]
    text = measure.table(["M", "D", "a step", "peak memory"], rows)
    return (
        f"One round, medians of 9 calls (of 3 in the last row). The engine alone takes "
        f"{max(r['engine_mb'] for r in got):.0f} MB.\n\n{text}\n\n![growth](results/{FILES[1]})"
    )


def draw(records: dict[tuple[int, int], measure.Record]) -> None:
    fig, axes = plt.subplots(2, 2, figsize=(9, 6), sharex="col")
    columns = [
        (BY_M, 0, f"particles M (D = {FIXED_DIMS})"),
        (BY_D, 1, f"dimensions D (M = {FIXED_PARTICLES})"),
    ]
    units = {"median_ms": "milliseconds a step", "peak_mb": "peak memory, MB"}
    for column, (sizes, axis, label) in enumerate(columns):
        x = [s[axis] for s in sizes]
        for row, (key, unit) in enumerate(units.items()):
            ax = axes[row, column]
            ax.plot(x, [records[s][key] for s in sizes], "o-", color="#0b6e4f")
            ax.set_xscale("log", base=2)
            if row == 0:
                ax.set_yscale("log")
            else:
                ax.set_ylim(bottom=0)
                ax.set_xlabel(label)
            if column == 0:
                ax.set_ylabel(unit)
            ax.grid(alpha=0.25)
            ax.spines[["top", "right"]].set_visible(False)
    fig.suptitle("One MET-SVGD step: trace term, spectral bound, score given")
    fig.tight_layout()
    fig.savefig(OUT / FILES[1], dpi=130)
    plt.close(fig)
