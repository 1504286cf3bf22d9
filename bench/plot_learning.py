"""The Walker2d learning curves of Stein and Stable-Baselines3 in one figure and table.

    bench/plot_learning.py [RUN ...]

First copies the evaluations of Stein's run folders RUN, then reads
docs/results/data/walker2d_{stein,sb3}_seed*.csv (step,mean,std,seconds and more),
draws docs/results/walker2d_sac.png and writes the table to walker2d_sac.md.
"""

from __future__ import annotations

import csv
import json
import pathlib
import sys

import compare
import matplotlib
import measure
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

RESULTS = measure.ROOT / "docs/results"
NAMES = {"stein": "Stein", "sb3": "Stable-Baselines3"}
COLOURS = {"stein": "#0b6e4f", "sb3": "#8a8d91"}
TAIL = 4  # evaluations at the end of a run, 20,000 steps, that the table averages


def read(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    with path.open() as f:
        rows = list(csv.DictReader(f))
    return np.array([int(r["step"]) for r in rows]), np.array([float(r["mean"]) for r in rows])


def take(run: pathlib.Path) -> None:
    """Copies the evaluations of a run folder of Stein's into a CSV of docs/results/data."""
    columns = {
        "step": "step",
        "mean": "eval/mean_reward",
        "std": "eval/std_reward",
        "seconds": "time",
        "iqm": "eval/iqm_reward",
        "length": "eval/mean_ep_length",
    }
    seed = json.loads((run / "run.json").read_text())["seed"]
    with (run / "metrics.csv").open() as f:
        rows = [r for r in csv.DictReader(f) if r["eval/mean_reward"]]
    with (RESULTS / f"data/walker2d_stein_seed{seed}.csv").open("w", newline="") as f:
        out = csv.writer(f)
        out.writerow(columns)
        for r in rows:
            out.writerow([r["step"], *(f"{float(r[c]):.3f}" for c in list(columns.values())[1:])])


def main() -> None:
    for run in sys.argv[1:]:
        take(pathlib.Path(run))
    fig, ax = plt.subplots(figsize=(7, 4.2))
    rows: list[list[str]] = []
    for who, name in NAMES.items():
        paths = sorted((RESULTS / "data").glob(f"walker2d_{who}_seed*.csv"))
        curves = [read(p) for p in paths]
        if not curves:
            print(f"no curve of {name} yet")
            continue
        for path, (step, mean) in zip(paths, curves, strict=True):
            ax.plot(step, mean, color=COLOURS[who], alpha=0.35, linewidth=1)
            seed = path.stem.rpartition("seed")[2]
            rows.append(
                [f"{name}, seed {seed}", *(f"{v:.0f}" for v in (mean[-1], mean[-TAIL:].mean(), mean.max()))]
            )
        length = min(len(step) for step, _ in curves)
        average = np.mean([mean[:length] for _, mean in curves], 0)
        ax.plot(curves[0][0][:length], average, color=COLOURS[who], linewidth=2.2, label=name)
        rows.append(
            [f"**{name}, mean**", *(f"**{v:.0f}**" for v in (average[-1], average[-TAIL:].mean(), average.max()))]
        )
    ax.set(xlabel="environment steps", ylabel="return of 10 deterministic episodes")
    ax.set_title("SAC on Walker2d-v5: mean of the seeds, each seed thin")
    ax.legend(frameon=False)
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    fig.tight_layout()
    fig.savefig(RESULTS / "walker2d_sac.png", dpi=130)
    text = measure.table(["run", "at the end", f"mean of the last {TAIL}", "best"], rows)
    print(text)
    compare.record(RESULTS / "walker2d_sac.md", "curves", text)


if __name__ == "__main__":
    main()
