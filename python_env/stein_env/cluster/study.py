"""``python -m stein_env.cluster.study``: Optuna for stein tune.

The study is in Optuna's storage. A trial without a result is
``running`` there: after a crash it is repeated.
"""

from __future__ import annotations

import threading
import warnings
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial, TrialState
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from stein_env.cluster.lines import FailedError, Lines, Tell

SAMPLERS = {
    "tpe": "TPESampler",
    "random": "RandomSampler",
    "cmaes": "CmaEsSampler",
    "gp": "GPSampler",
    "qmc": "QMCSampler",
    "grid": "GridSampler",
}
# Samplers that would propose the same settings again when a study with a seed goes on.
REPEATING = ("tpe", "random", "cmaes", "gp")
PRUNERS = {
    "none": "NopPruner",
    "median": "MedianPruner",
    "percentile": "PercentilePruner",
    "halving": "SuccessiveHalvingPruner",
    "hyperband": "HyperbandPruner",
}
STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


class Tuner:
    """The requests of stein, one at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._study: optuna.Study
        self._space: dict[str, BaseDistribution] = {}
        self._running: dict[int, Trial] = {}

    def open(self, spec: Any, _tell: Tell) -> Any:
        """Create the study, or continue it."""
        self._space = {key: _distribution(s) for key, s in spec["space"].items()}
        grid = {key: s["choices"] for key, s in spec["space"].items() if "choices" in s}
        options = dict(spec["sampler_options"] or {})
        if spec["sampler"] == "grid":
            if len(grid) < len(self._space):
                raise FailedError("the grid sampler needs choices for every setting")
            options["search_space"] = grid
        pruner = _make(
            optuna.pruners, PRUNERS, "pruner", spec["pruner"], spec["pruner_options"]
        )
        # Build the URL here: names may contain characters that URLs interpret.
        storage = spec["storage"] or URL.create(
            "sqlite", database=spec["file"]
        ).render_as_string(hide_password=False)
        try:
            self._study = optuna.create_study(
                storage=storage,
                study_name=_name(spec, storage),
                direction="maximize" if spec["maximize"] else "minimize",
                pruner=pruner,
                load_if_exists=True,
            )
        except DBAPIError as e:
            where = "--study-storage" if spec["storage"] else spec["file"]
            raise FailedError(
                f"cannot open the study in {where}: {e.orig}; restore it, or choose a"
                " new --out"
            ) from e
        if isinstance(options.get("seed"), int) and spec["sampler"] in REPEATING:
            options["seed"] += len(self._study.trials)
        self._study.sampler = _make(
            optuna.samplers, SAMPLERS, "sampler", spec["sampler"], options
        )
        want = "MAXIMIZE" if spec["maximize"] else "MINIMIZE"
        if self._study.direction.name != want:
            raise FailedError(f"the study in {storage} does not {want.lower()}")
        running = []
        for frozen in self._study.get_trials(states=(TrialState.RUNNING,)):
            self._running[frozen.number] = Trial(self._study, frozen._trial_id)
            running.append({"number": frozen.number, "params": frozen.params})
        return {"asked": len(self._study.trials), "running": running}

    def ask(self, _spec: Any, _tell: Tell) -> Any:
        """Propose a trial."""
        with self._lock:
            trial = self._study.ask(self._space)
            self._running[trial.number] = trial
        return {"number": trial.number, "params": trial.params}

    def report(self, spec: Any, _tell: Tell) -> Any:
        """Report a trial's progress, and return whether to prune it."""
        with self._lock:
            trial = self._running[spec["number"]]
            trial.report(spec["value"], spec["step"])
            return {"prune": bool(trial.should_prune())}

    def tell(self, spec: Any, _tell: Tell) -> Any:
        """Report the result of a trial."""
        with self._lock:
            state = STATES[spec["state"]]
            value = spec["value"] if state == TrialState.COMPLETE else None
            self._study.tell(self._running.pop(spec["number"]), value, state)
        return None

    def results(self, _spec: Any, _tell: Tell) -> Any:
        """Return all trials."""
        return [
            {
                "number": t.number,
                "state": t.state.name.lower(),
                "value": t.value,
                "params": t.params,
            }
            for t in self._study.trials
        ]


def _name(spec: dict[str, Any], storage: str) -> str:
    """Return the name of the folder's only study: the folder may have been renamed."""
    if not spec["storage"]:
        names = optuna.get_all_study_names(storage)
        if len(names) == 1:
            return names[0]
    return str(spec["name"])


def _distribution(spec: dict[str, Any]) -> BaseDistribution:
    if "choices" in spec:
        return CategoricalDistribution(spec["choices"])
    low, high, log, step = spec["low"], spec["high"], spec["log"], spec.get("step")
    if spec["whole"]:
        return IntDistribution(int(low), int(high), log=log, step=int(step or 1))
    return FloatDistribution(low, high, log=log, step=step)


def _make(
    module: Any, names: dict[str, str], what: str, name: str, options: Any
) -> Any:
    if name not in names:
        raise FailedError(f"{what} {name}: want one of {', '.join(names)}")
    try:
        return getattr(module, names[name])(**(options or {}))
    except (TypeError, ValueError, ImportError) as e:
        raise FailedError(f"{what} {name}: {e}") from e


def main() -> None:
    """Serve until stein closes the pipe."""
    lines = Lines()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # After a crash a step may be reported again; the first one counts.
    warnings.filterwarnings("ignore", message="The reported value is ignored")
    tuner = Tuner()
    lines.serve(
        {
            "open": tuner.open,
            "ask": tuner.ask,
            "report": tuner.report,
            "tell": tuner.tell,
            "results": tuner.results,
        }
    )


if __name__ == "__main__":
    main()
