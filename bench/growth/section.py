"""Time and peak memory of one MET-SVGD step as M and D grow."""

from __future__ import annotations

import functools

import matplotlib
import measure

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

STEIN = measure.ROOT / "bench/out/sampler-bench"
FIGURE = measure.ROOT / "docs/results/growth.png"
PARTICLES = (8, 16, 32, 64, 128, 256, 512)
DIMS = (2, 8, 32, 128, 512, 1024, 2048, 4096)
FIXED_DIMS, FIXED_PARTICLES = 6, 64


def step(particles: int, dims: int) -> measure.Record:
    sizes = ["--particles", particles, "--dims", dims, "--reps", 7]
    return measure.run([STEIN, "step", *map(str, sizes)])


def sweep(rounds: int, sizes: list[tuple[int, int]]) -> list[tuple[int, int, float, float]]:
    """(M, D, milliseconds, MB) of every size."""
    parts = {f"M={m} D={d}": functools.partial(step, m, d) for m, d in sizes}
    got = measure.interleave(rounds, parts).values()
    return [
        (m, d, measure.median(r, "median_ms"), measure.peak(r))
        for (m, d), r in zip(sizes, got, strict=True)
    ]


def compare(rounds: int) -> str:
    by_m = sweep(rounds, [(m, FIXED_DIMS) for m in PARTICLES])
    by_d = sweep(rounds, [(FIXED_PARTICLES, d) for d in DIMS])
    draw(by_m, by_d)
    rows = [[str(m), str(d), f"{ms:.3f} ms", f"{mb:.0f} MB"] for m, d, ms, mb in by_m + by_d]
    text = measure.table(["M", "D", "a step", "peak memory"], rows)
    return text + "\n\n![growth](results/growth.png)"


def draw(by_m: list[tuple[int, int, float, float]], by_d: list[tuple[int, int, float, float]]) -> None:
    fig, axes = plt.subplots(2, 2, figsize=(9, 6), sharex="col")
    columns = [
        (by_m, 0, f"particles M (D = {FIXED_DIMS})"),
        (by_d, 1, f"dimensions D (M = {FIXED_PARTICLES})"),
    ]
    for column, (points, axis, label) in enumerate(columns):
        x = [p[axis] for p in points]
        for row, (value, unit) in enumerate([(2, "milliseconds a step"), (3, "peak memory, MB")]):
            ax = axes[row, column]
            ax.plot(x, [p[value] for p in points], "o-", color="#0b6e4f")
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
    fig.suptitle("One MET-SVGD step: trace term, spectral bound, Gaussian target")
    fig.tight_layout()
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(FIGURE, dpi=130)
    plt.close(fig)
