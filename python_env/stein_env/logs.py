"""What a worker says: lines for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime

Log = Callable[..., None]
"""Called with a line, and with what belongs to it by name."""


def choose(wanted: str, *, child: bool) -> Log:
    """Return the log of a format: text, json, or auto.

    Auto is text on a terminal and JSON elsewhere, but text from a child, whose lines
    the program that started it puts into its own log.
    """
    text = wanted == "text" or (wanted == "auto" and (child or sys.stderr.isatty()))
    return as_text if text else as_json


def as_text(line: str, **about: object) -> None:
    """Write a line for people."""
    end = "".join(f" {name}={value}" for name, value in about.items() if value)
    print(f"stein_env: {line}{end}", file=sys.stderr, flush=True)


def as_json(line: str, **about: object) -> None:
    """Write an object with the keys of Stein's own logs: time, level, msg."""
    record: dict[str, object] = {
        "time": datetime.now(UTC).isoformat(),
        "level": "INFO",
        "msg": line,
    }
    record |= {name: value for name, value in about.items() if value}
    print(json.dumps(record), file=sys.stderr, flush=True)
