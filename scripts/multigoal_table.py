"""Prints the table of scripts/multigoal.sh from the evaluations below a folder."""

import json
import pathlib
import statistics
import sys

GROUPS = ("sac", "p-svgd", "met-sigma-eps")


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
            shares = [f"{100 * goal['share']:.0f}" for goal in plane["goals"]]
            cells.append(", ".join(shares) + " %")
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
