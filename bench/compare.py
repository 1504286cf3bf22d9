"""Compares Stein with other libraries in one run: see bench/run.sh."""

from __future__ import annotations

import argparse
import datetime
import importlib
import pathlib
import re
import shutil

import measure

SECTIONS = ("bridge", "rl", "update", "agents", "fourteen", "sampler", "ebm", "growth")
PAGE = measure.ROOT / "docs/benchmarks.md"


def record(page: pathlib.Path, name: str, text: str) -> None:
    """Puts text between the page's markers <!-- name --> and <!-- /name -->."""
    old = page.read_text()
    marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    new, found = marks.subn(lambda m: m[1] + text + "\n" + m[2], old)
    if not found:
        raise SystemExit(f"bench: {page} has no <!-- {name} --> … <!-- /{name} -->")
    page.write_text(new)


def main() -> None:
    p = argparse.ArgumentParser(prog="bench/run.sh", description=__doc__)
    p.add_argument("--only", choices=SECTIONS, action="append", help="repeatable")
    p.add_argument("--rounds", type=int, default=3, help="A B C A B C …; medians over the rounds")
    p.add_argument("--record", action="store_true", help="write the tables into docs/benchmarks.md")
    args = p.parse_args()

    names = args.only or SECTIONS
    for name in names:
        section = importlib.import_module(f"{name}.section")
        n = getattr(section, "ROUNDS", args.rounds)
        when = f"{measure.machine()}, {datetime.date.today()}, {n} round{'s' if n > 1 else ''}"
        print(when, flush=True)
        busy = measure.others()
        text = section.compare(n)
        busy = max(busy, measure.others())
        note = measure.company(busy)
        print(f"\n{name}{note}\n\n{text}", flush=True)
        if args.record:
            command = f"bench/run.sh --only {name} --rounds {n}"
            record(PAGE, name, f"{when}{note}: `{command}`\n\n{text}")
            for file in getattr(section, "FILES", ()):
                shutil.copy(measure.ROOT / "bench/out" / file, measure.ROOT / "docs/results")


if __name__ == "__main__":
    main()
