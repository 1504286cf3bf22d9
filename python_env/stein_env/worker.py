"""``python -m stein_env.worker``: serves environments on a socket."""

from __future__ import annotations

import argparse
import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import zmq

from stein_env import curve, here, logs
from stein_env.server import Server, open_socket


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until a signal or the client ends it."""
    args = _parser().parse_args(argv)
    here.see_working_directory()
    faulthandler.enable(all_threads=False)  # says where a crash in C happened
    if args.child:
        parent = _take_input()
        threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()
    log = logs.choose(args.log_format, child=args.child)
    key = None
    try:
        if args.key:
            key = curve.load(args.key, "server")
        check_endpoint(args.listen, key)
    except ValueError as e:
        log(str(e))
        return 1

    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = open_socket(context)
    authenticator = curve.secure(context, socket, key) if key else None
    try:
        socket.bind(args.listen)
    except zmq.ZMQError as e:
        context.destroy(linger=0)
        log(f"cannot listen on {args.listen}: {e.strerror}")
        return 1

    server = Server(
        socket,
        child=args.child,
        max_sessions=args.max_clients,
        idle_seconds=args.idle_seconds,
        log=log,
    )

    def stop(_signum: int, _frame: FrameType | None) -> None:
        server.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if not args.child:
        log(f"listening on {args.listen}" + (" with CURVE keys" if key else ""))
    try:
        server.run()
    finally:
        if authenticator:
            authenticator.stop()
        # Enough time to send a last answer.
        context.destroy(linger=200)
    return 0


def check_endpoint(endpoint: str, key: curve.Key | None) -> None:
    """Reject unsupported endpoints, and remote ones without keys.

    Raises:
        ValueError: the endpoint is rejected.
    """
    if endpoint.startswith("ipc://"):
        return
    if not endpoint.startswith("tcp://"):
        raise ValueError(f"listen on {endpoint!r}: want tcp://host:port or ipc://path")
    if key is None and not curve.is_loopback(endpoint):
        raise ValueError(
            f"listen on {endpoint}: endpoints reachable from other machines need keys:"
            " make them with `stein keys`, use --key server.key here and --env-key"
            " client.key for training"
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="stein_env.worker", description=__doc__)
    parser.add_argument("--listen", required=True, help="tcp://host:port or ipc://path")
    parser.add_argument("--key", type=Path, help="server.key, from `stein keys`")
    parser.add_argument("--max-clients", type=int, default=16, help="default 16")
    parser.add_argument(
        "--idle-seconds",
        type=float,
        default=900.0,
        help="drop clients that are silent for this long; default 900",
    )
    parser.add_argument(
        "--log-format",
        choices=("auto", "text", "json"),
        default="auto",
        help="text, json, or auto: text on a terminal",
    )
    parser.add_argument(
        "--child",
        action="store_true",
        help="end with the first client or with standard input",
    )
    return parser


def _take_input() -> int:
    """Return a copy of standard input, and leave an empty one to environments.

    One that asks for input, or starts a debugger, then fails instead of waiting.
    """
    ours = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return ours


def _end_with_parent(pipe: int) -> None:
    """End when the pipe from the parent process closes: it has ended."""
    while os.read(pipe, 4096):
        pass
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
