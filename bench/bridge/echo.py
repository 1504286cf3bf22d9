"""Times what a step through the bridge cannot do without: a ZeroMQ round trip between two
processes with messages of a step's sizes, and nothing else.

    python bench/bridge/echo.py --seconds 3
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import pathlib
import tempfile
import time

import zmq

ACTION, ANSWER = 60, 260  # bytes of a step's request and reply on Walker2d


def answer(address: str) -> None:
    socket = zmq.Context().socket(zmq.PAIR)
    socket.connect(address)
    reply = bytes(ANSWER)
    while socket.recv():
        socket.send(reply)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--seconds", type=float, default=3)
    args = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        address = f"ipc://{pathlib.Path(folder) / 'echo'}"
        socket = zmq.Context().socket(zmq.PAIR)
        socket.bind(address)
        other = multiprocessing.get_context("spawn").Process(target=answer, args=(address,))
        other.start()
        request = bytes(ACTION)

        def trips(seconds: float) -> float:
            start, n = time.perf_counter(), 0
            while time.perf_counter() - start < seconds:
                socket.send(request)
                socket.recv()
                n += 1
            return n / (time.perf_counter() - start)

        trips(0.5)
        rate = trips(args.seconds)
        socket.send(b"")
        other.join()
    print(json.dumps({"name": "echo", "round_trips_per_s": rate, "us": 1e6 / rate}))


if __name__ == "__main__":
    main()
