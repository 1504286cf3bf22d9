"""Answers every ZeroMQ message at an address with one of the size of a step's, and does
nothing else: what `bridge-bench -echo` talks to.

    python bench/bridge/echo.py ipc:///tmp/echo
"""

from __future__ import annotations

import sys

import zmq

ANSWER = bytes(260)  # of a step on Walker2d


def main() -> None:
    socket = zmq.Context().socket(zmq.PAIR)
    socket.connect(sys.argv[1])
    while socket.recv():
        socket.send(ANSWER)


if __name__ == "__main__":
    main()
