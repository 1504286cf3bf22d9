"""Log output of a worker: text for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime

Log = Callable[..., None]
"""Called with a line and its attributes."""


def choose(wanted: str, *, child: bool) -> Log:
    """Return a log function for a format: text, json, or auto.

    Auto is text on a terminal and JSON elsewhere, but text for a child process, whose
    lines its parent process writes to its own log.
    """
    text = wanted == "text" or (wanted == "auto" and (child or sys.stderr.isatty()))
    return as_text if text else as_json


def as_text(line: str, **about: object) -> None:
    """Write a line of text."""
    end = "".join(f" {name}={value}" for name, value in about.items() if value)
    print(f"stein_env: {line}{end}", file=sys.stderr, flush=True)


def as_json(line: str, **about: object) -> None:
    """Write a JSON object with the keys of Stein's logs: time, level, msg."""
    record: dict[str, object] = {
        "time": datetime.now(UTC).isoformat(),
        "level": "INFO",
        "msg": line,
    }
    record |= {name: value for name, value in about.items() if value}
    print(json.dumps(record), file=sys.stderr, flush=True)
