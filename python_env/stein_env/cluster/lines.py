"""Requests and answers as lines of JSON over standard input and output.

A request is ``{"id": 7, "op": "run", "with": {...}}``. It is answered by any number
of ``{"id": 7, "news": ...}`` and then one ``{"id": 7, "done": ...}`` or
``{"id": 7, "error": "..."}``. Each runs in a thread of its own, but for those that the
program names. The end of the input
is the end of the program.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from collections.abc import Callable, Container, Mapping
from typing import Any

Tell = Callable[[Any], None]
Handler = Callable[[Any, Tell], Any]


class FailedError(Exception):
    """A failure, described in one line."""


class Lines:
    """This side of the pipe to stein."""

    def __init__(self) -> None:
        # Libraries may print; redirect their output to the log.
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self._lock = threading.Lock()

    def serve(self, handlers: Mapping[str, Handler], here: Container[str] = ()) -> None:
        """Serve until the input ends. Requests named in ``here`` run in this thread.

        Processes of a thread may die with it: on Linux a cluster that Ray starts
        does.
        """
        for line in sys.stdin:
            request = json.loads(line)
            if request["op"] in here:
                self._answer(handlers, request)
                continue
            threading.Thread(
                target=self._answer, args=(handlers, request), daemon=True
            ).start()

    def _answer(self, handlers: Mapping[str, Handler], request: Any) -> None:
        number = request["id"]

        def tell(news: Any) -> None:
            self._write({"id": number, "news": news})

        try:
            done = handlers[request["op"]](request.get("with") or {}, tell)
            json.dumps(done)  # a value that is not JSON is an error like any other
        except FailedError as e:
            self._write({"id": number, "error": str(e)})
        except Exception as e:
            traceback.print_exc()
            self._write({"id": number, "error": one_line(e)})
        else:
            self._write({"id": number, "done": done})

    def _write(self, message: Any) -> None:
        with self._lock:
            print(json.dumps(message), file=self._out, flush=True)


def one_line(e: BaseException) -> str:
    """Return an error's type and its last non-empty line."""
    said = [line for line in str(e).splitlines() if line.strip()]
    return f"{type(e).__name__}: {said[-1].strip()}" if said else type(e).__name__
