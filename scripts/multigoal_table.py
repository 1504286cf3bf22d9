"""Prints the tables of scripts/multigoal.sh from the evaluations in a folder."""

import json
import pathlib
import statistics
import sys
from typing import Any

GROUPS = ("sac", "p-svgd", "met-sigma-eps")
Rows = dict[str, list[dict[str, Any]]]  # evaluations by group, in the order of seeds


def load(out: pathlib.Path, name: str) -> Rows:
    """The evaluations of one kind, of all seeds of each group."""
    return {
        group: [
            json.loads(p.read_text())
            for p in sorted(out.glob(f"multigoal-{group}-s[0-9]*/{name}.json"))
        ]
        for group in GROUPS
    }


def visits(mark: dict[str, Any]) -> list[int]:
    return [goal["visits"] for goal in mark["plane"]["goals"]]


def reached(marks: list[dict[str, Any]]) -> str:
    """How many goals each seed reached."""
    return ", ".join(str(sum(v > 0 for v in visits(m))) for m in marks)


def ways(tested: Rows, drawn: Rows) -> None:
    print(
        "| run | tested: to (5, 0), (-4, 3), (-4, -3) | drawn | mean return, tested | drawn | exp(Q/α) towards each |"
    )
    print("| --- | ---: | ---: | ---: | ---: | --- |")
    for group in GROUPS:
        for seed, (test, draw) in enumerate(
            zip(tested[group], drawn[group], strict=True)
        ):
            cells = [", ".join(map(str, visits(m))) for m in (test, draw)]
            cells += [f"{m['mean']:.0f}" for m in (test, draw)]
            cells.append(
                ", ".join(f"{100 * g['share']:.0f}" for g in draw["plane"]["goals"])
                + " %"
            )
            print(f"| `{group}`, seed {seed} | " + " | ".join(cells) + " |")
    print("\n| goals reached, by seed | tested | drawn |\n| --- | --- | --- |")
    for group in GROUPS:
        print(f"| `{group}` | {reached(tested[group])} | {reached(drawn[group])} |")


def entropies(drawn: Rows) -> None:
    states = [f"({s['x']:g}, {s['y']:g})" for s in drawn["sac"][0]["plane"]["states"]]
    print(
        "\n| \\|H − H of exp(Q/α)\\|, mean of the seeds, nats (of \\|H\\|) | "
        + " | ".join(states)
        + " |"
    )
    print("| --- |" + " ---: |" * len(states))
    for group in GROUPS:
        cells = []
        for i in range(len(states)):
            all_of = [m["plane"]["states"][i] for m in drawn[group]]
            error = statistics.mean(abs(s["entropy"] - s["exact"]) for s in all_of)
            size = statistics.mean(abs(s["exact"]) for s in all_of)
            cells.append(f"{error:.3f} ({100 * error / size:.0f} %)")
        print(f"| `{group}` | " + " | ".join(cells) + " |")


def main() -> None:
    out = pathlib.Path(sys.argv[1])
    tested, drawn = load(out, "tested"), load(out, "drawn")
    ways(tested, drawn)
    entropies(drawn)


if __name__ == "__main__":
    main()
