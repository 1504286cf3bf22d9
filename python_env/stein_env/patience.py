"""Waits for an environment's own code, and reports when that takes long."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Iterator
from types import FrameType

NOTE_SECONDS = 10.0


class Late(BaseException):
    """Code that has not returned in time; not an Exception, which it may catch."""


@contextlib.contextmanager
def within(seconds: float, what: str) -> Iterator[None]:
    """Raise Late in code that takes too long, and say every ten seconds where it is.

    Code in C is interrupted when it returns to Python.
    """
    begin = time.monotonic()

    def look(_signum: int, frame: FrameType | None) -> None:
        place = f"{frame.f_code.co_filename}, line {frame.f_lineno}" if frame else "C"
        passed = time.monotonic() - begin
        if passed >= seconds:
            raise Late(f"{what} has not returned within {seconds:g} s ({place})")
        text = f"stein_env: waiting for {what} since {passed:.0f} s ({place})"
        print(text, file=sys.stderr, flush=True)

    before = signal.signal(signal.SIGALRM, look)
    every = min(NOTE_SECONDS, seconds)
    rest, interval = signal.setitimer(signal.ITIMER_REAL, every, every)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, rest, interval)
        signal.signal(signal.SIGALRM, before)
