"""Makes rliable.json: statistics and intervals by the PyPI package rliable, with the
resamples that it drew, for TestRliable.

    pip install rliable==1.2.0 "pandas<3" && python golden.py > rliable.json
"""

import json
from importlib.metadata import version

import numpy as np
from rliable import library, metrics

REPS = 300
GAMMA = 1.0


class Recorded(library.StratifiedBootstrap):
    """Keeps what it drew."""

    drawn: list

    def update_indices(self):
        indices = super().update_indices()
        self.drawn.append(np.asarray(indices[0]).tolist())
        return indices


class RecordedPair(library.StratifiedIndependentBootstrap):
    drawn: list

    def update_indices(self):
        indices = super().update_indices()
        self.drawn.append([np.asarray(i[0]).tolist() for i in indices[0]])
        return indices


def bounds(kind, func, *data):
    """Point estimate, bounds, and the draws, [rep][run][task]; of curves with one more axis."""
    np.random.seed(7)  # rliable draws from the global stream, whatever random_state is
    bootstrap = kind(*data)
    bootstrap.drawn = []
    low, high = bootstrap.conf_int(func, reps=REPS, size=0.95, method="percentile")
    point = np.asarray(func(*data))
    return {
        "point": np.atleast_1d(point).tolist(),
        "low": np.atleast_1d(low).tolist(),
        "high": np.atleast_1d(high).tolist(),
        "draws": bootstrap.drawn[-REPS:],
    }


def main():
    rng = np.random.default_rng(20261124)
    x = rng.normal(0.6, 0.3, (5, 3))
    y = rng.normal(0.5, 0.4, (5, 3))
    y[0, 0] = x[1, 0]  # a tie
    curve = np.cumsum(rng.normal(1.0, 2.0, (5, 1, 7)), axis=2)
    taus = np.linspace(-0.5, 1.5, 9)

    def aggregates(s):
        return np.array(
            [
                metrics.aggregate_iqm(s),
                metrics.aggregate_mean(s),
                metrics.aggregate_median(s),
                metrics.aggregate_optimality_gap(s, GAMMA),
            ]
        )

    out = {
        "rliable": version("rliable"),
        "numpy": version("numpy"),
        "arch": version("arch"),
        "scipy": version("scipy"),
        "gamma": GAMMA,
        "x": x.tolist(),
        "y": y.tolist(),
        "curve": curve[:, 0, :].tolist(),
        "taus": taus.tolist(),
        "aggregates": bounds(Recorded, aggregates, x),
        "one_task": bounds(Recorded, aggregates, x[:, :1]),
        "profile": bounds(Recorded, lambda s: library.score_distributions(s, taus), x),
        "curves": bounds(
            Recorded,
            lambda s: np.array([metrics.aggregate_iqm(s[..., i]) for i in range(s.shape[-1])]),
            curve,
        ),
        "improvement": bounds(RecordedPair, metrics.probability_of_improvement, x, y),
    }
    print(json.dumps(out, separators=(",", ":")))


main()
