"""The Python client as the tests want it asked: their wishes are JSON, so are answers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from stein_env.client import Answer, Client

OBSERVATION = np.zeros(3, np.float32)
FILES = ("root_certificates", "certificate", "key")


def outcome(ask: dict[str, Any], by_stream: bool) -> dict[str, Any]:
    settings = {
        name: Path(value).read_bytes() if name in FILES else value
        for name, value in ask.items()
    }
    try:
        with Client(**settings) as policies:
            answer = policies.act(OBSERVATION) if not by_stream else streamed(policies)
    except grpc.RpcError as e:
        return {"error": e.code().name}
    except ValueError:
        return {"error": "ValueError"}
    return {"actions": len(answer.actions), "step": answer.step}


def streamed(policies: Client) -> Answer:
    with policies.stream() as loop:
        return loop.act(OBSERVATION)


def idle(address: str) -> None:
    """Ask once, say so, and ask again when there is a line to read."""
    with Client(address) as policies, policies.stream() as loop:
        loop.act(OBSERVATION)
        print("idle", flush=True)
        try:
            sys.stdin.readline()  # the server has ended meanwhile
            loop.act(OBSERVATION)
        except grpc.RpcError as e:
            print(e.code().name)


def main() -> None:
    wish = json.loads(sys.argv[1])
    if "idle" in wish:
        idle(wish["idle"])
        return
    print(json.dumps([outcome(a, s) for a in wish["asks"] for s in (False, True)]))


if __name__ == "__main__":
    main()
