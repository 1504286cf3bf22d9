"""The image models of docs/results/ebm.md: curves, grids and table.

    bench/.venv/bin/python bench/plot_ebm.py DATA [RUN ...]

First copies the metrics and last grids of the run folders RUN, named after their
configuration, into docs/results/data/ebm_DATA_NAME.csv and docs/results/ebm_DATA_NAME.png;
then draws docs/results/ebm_DATA.png from all such tables and writes the table to
ebm.md between the marks of DATA (fashion-mnist, cifar10).
"""

from __future__ import annotations

import csv
import pathlib
import shutil
import sys

import compare
import matplotlib
import measure

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

RESULTS = measure.ROOT / "docs/results"
KEPT = [
    "step",
    "time",
    "eval/fd_e0",
    "eval/kid",
    "energy/gap",
    "sampler/score_norm",
    "sampler/entropy",
]
KEPT += [
    "sampler/sigma",
    "sampler/sigma_median",
    "sampler/epsilon",
    "sampler/epsilon_bound",
]
KEPT += [
    "sampler/epsilon_used",
    "sampler/acceptance",
    "sampler/steps_taken",
    "samples/spread",
]
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"]  # of Okabe and Ito

Rows = list[dict[str, str]]


def take(data: str, run: pathlib.Path) -> None:
    """Copies the plotted data of a run folder to docs/results."""
    rows = list(csv.DictReader((run / "metrics.csv").open()))
    with (RESULTS / f"data/ebm_{data}_{run.name}.csv").open("w", newline="") as out:
        table = csv.DictWriter(
            out, [k for k in KEPT if k in rows[0]], extrasaction="ignore"
        )
        table.writeheader()
        table.writerows(rows)
    grids = sorted((run / "pictures").glob("samples-*.png"))
    shutil.copy(grids[-1], RESULTS / f"ebm_{data}_{run.name}.png")


def series(rows: Rows, name: str) -> tuple[list[float], list[float]]:
    have = [r for r in rows if r.get(name)]
    return [float(r["step"]) for r in have], [float(r[name]) for r in have]


def number(x: float) -> str:
    return f"{x:.3g}"


def main() -> None:
    data, *runs = sys.argv[1:]
    for run in runs:
        take(data, pathlib.Path(run))
    tables = {
        p.stem.removeprefix(f"ebm_{data}_"): list(csv.DictReader(p.open()))
        for p in sorted((RESULTS / "data").glob(f"ebm_{data}_*.csv"))
    }
    figure, axes = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    shown = [
        ("eval/fd_e0", "FD-E0"),
        ("energy/gap", "mean f, data less samples"),
        ("sampler/score_norm", "‖∇ log p̄‖ at the samples"),
    ]
    for axis, (name, label) in zip(axes, shown, strict=True):
        for (run, rows), colour in zip(tables.items(), COLOURS, strict=False):
            x, y = series(rows, name)
            axis.plot(
                x,
                y,
                color=colour,
                label=run,
                marker="o" if name == "eval/fd_e0" else None,
                ms=3,
            )
        axis.set(xlabel="updates", title=label)
        axis.grid(alpha=0.3)
    axes[2].set_yscale("log")
    axes[0].legend()
    figure.savefig(RESULTS / f"ebm_{data}.png", dpi=110)

    lines = []
    for run, rows in tables.items():
        at, fd = series(rows, "eval/fd_e0")
        _, kid = series(rows, "eval/kid")
        cells = [
            f"`{run}`",
            f"{float(rows[-1]['step']):.0f}",
            f"{float(rows[-1]['time']) / 60:.0f} min",
        ]
        cells += [
            f"{number(fd[0])} (update {at[0]:.0f})",
            number(min(fd)),
            number(fd[-1]),
            number(kid[-1]),
        ]
        for name in (
            "sampler/score_norm",
            "sampler/sigma",
            "sampler/sigma_median",
            "sampler/epsilon",
            "sampler/epsilon_used",
        ):
            values = series(rows, name)[1]
            cells.append(number(values[-1]) if values else "")
        lines.append(cells)
    header = [
        "configuration",
        "updates",
        "time",
        "FD-E0 first",
        "least",
        "last",
        "KID last",
        "‖∇ log p̄‖",
        "σ",
        "σ by the median",
        "ε",
        "ε taken",
    ]
    compare.record(RESULTS / "ebm.md", data, measure.table(header, lines))


if __name__ == "__main__":
    main()
