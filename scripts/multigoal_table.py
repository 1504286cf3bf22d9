"""Prints the table of scripts/multigoal.sh from the evaluations below a folder."""

import json
import pathlib
import statistics
import sys

import numpy as np
from safetensors.numpy import load_file

GOALS = np.array([(5, 0), (-4, 3), (-4, -3)]) / 5  # the ways to them from the start
ALPHA = 2.5
GROUPS = ("sac", "p-svgd", "met-sigma-eps")


def shares(run: pathlib.Path) -> list[float]:
    """The shares of exp(Q/α) at the start, on a grid, that lie towards each goal."""
    newest = sorted(run.glob("checkpoints/step-*/agent.safetensors"))[-1]
    weights = {k.replace(".", "/"): v for k, v in load_file(newest).items()}
    axis = np.linspace(-0.99, 0.99, 100)
    actions = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    value = sum(critic(weights, k, actions) for k in (0, 1)) / 2  # value: mean
    mass = np.exp((value - value.max()) / ALPHA)
    way = (actions @ GOALS.T).argmax(1)
    return [float(mass[way == goal].sum() / mass.sum()) for goal in range(len(GOALS))]


def critic(weights: dict[str, np.ndarray], k: int, actions: np.ndarray) -> np.ndarray:
    """Q_k at the start (0, 0), [N, 2] -> [N]; ELU between the layers."""

    def at(name: str) -> np.ndarray:
        end = f"critic/q{k}/{name}"
        (found,) = [w for path, w in weights.items() if path.endswith(end)]
        return found

    def elu(x: np.ndarray) -> np.ndarray:
        return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))

    x = elu(at("of_obs/biases") + actions @ at("of_action/weights"))
    x = elu(x @ at("rest/hidden_0/weights") + at("rest/hidden_0/biases"))
    return (x @ at("rest/out/weights") + at("rest/out/biases"))[:, 0]


def main() -> None:
    out = pathlib.Path(sys.argv[1])
    goals = "to (5, 0) | to (-4, 3) | to (-4, -3)"
    print(f"| run | {goals} | nowhere | mean return | exp(Q/α) towards each |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | --- |")
    errors: dict[str, list[list[float]]] = {}
    for name in GROUPS:
        for path in sorted(out.glob(f"multigoal-{name}-s[0-9]*/eval.json")):
            mark = json.loads(path.read_text())
            plane = mark["plane"]
            visits = [goal["visits"] for goal in plane["goals"]]
            seed = path.parent.name.rsplit("-s", 1)[1]
            cells = [*visits, len(mark["returns"]) - sum(visits), f"{mark['mean']:.0f}"]
            cells.append(", ".join(f"{100 * share:.0f}" for share in shares(path.parent)) + " %")
            print(f"| `{name}`, seed {seed} | " + " | ".join(map(str, cells)) + " |")
            errors.setdefault(name, []).append([s["entropy"] - s["exact"] for s in plane["states"]])
            states = [f"({s['x']:g}, {s['y']:g})" for s in plane["states"]]
    print("\n| H − H of exp(Q/α), mean of |error|, nats | " + " | ".join(states) + " | all |")
    print("| --- |" + " ---: |" * (len(states) + 1))
    for name, rows in errors.items():
        each = [statistics.mean(abs(r[i]) for r in rows) for i in range(len(states))]
        print(f"| `{name}` | " + " | ".join(f"{e:.2f}" for e in [*each, statistics.mean(each)]) + " |")


if __name__ == "__main__":
    main()
