"""The golden messages, which envbridge/wire_test.go tests too."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format
from google.protobuf.message import Message

from stein_env import env_pb2 as pb
from stein_env.wire import (
    F4,
    HEADER_BYTES,
    Garbage,
    Kind,
    Layout,
    Result,
    pack_header,
    unpack_header,
)

FRAMES = Path(__file__).parents[2] / "envbridge" / "testdata" / "frames"
CASES = sorted(FRAMES.glob("*.json"))

CONTROL: dict[Kind, type[Message]] = {
    Kind.HELLO: pb.Hello,
    Kind.WELCOME: pb.Welcome,
    Kind.RESET: pb.Reset,
    Kind.RENDER: pb.Render,
    Kind.FAILURE: pb.Failure,
}


def test_there_are_cases() -> None:
    assert len(CASES) >= 11
    assert {json.loads(p.read_text())["kind"] for p in CASES} == {*Kind}


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.stem)
def test_golden_frames(path: Path) -> None:
    case: dict[str, Any] = json.loads(path.read_text())
    message = bytes.fromhex(case["message"])
    kind = Kind(case["kind"])
    assert unpack_header(message) == (1, kind, case["seq"])
    assert encode(kind, case) == message
    body = message[HEADER_BYTES:]
    if kind in CONTROL:
        got = CONTROL[kind]()
        got.ParseFromString(body)
        assert got == json_format.ParseDict(case["proto"], CONTROL[kind]())
    if kind is Kind.STEP:
        assert len(body) == layout(case).action_bytes
        assert np.frombuffer(body, F4).tolist() == case["action"]


def layout(case: dict[str, Any]) -> Layout:
    return Layout(**case["layout"])


def encode(kind: Kind, case: dict[str, Any]) -> bytes:
    """Write the message in the way of the worker, where it is one of its own."""
    head = pack_header(kind, case["seq"])
    if kind in CONTROL:
        message = json_format.ParseDict(case["proto"], CONTROL[kind]())
        return head + bytes(message.SerializeToString(deterministic=True))
    if kind is Kind.RESULT:
        result = Result(layout(case))
        result.obs[:] = np.reshape(case["obs"], result.obs.shape)
        result.reward[:] = case["reward"]
        result.ends[:] = case["ends"]
        final = np.reshape(case.get("final", []), (-1, layout(case).obs_dim))
        result.final[: len(final)] = final
        return bytes(result.message(case["seq"], len(final)))
    if kind is Kind.PICTURE:
        p = case["picture"]
        return head + struct.pack("<II", p["height"], p["width"]) + bytes(p["rgb"])
    floats = case.get("obs" if kind is Kind.OBS else "action", [])
    return head + np.array(floats, F4).tobytes()


@pytest.mark.parametrize(
    "frame", [b"", b"STNB", b"x" * 16, bytes(16), b"STNX" + bytes(12), b"\xff" * 15]
)
def test_garbage_is_told(frame: bytes) -> None:
    with pytest.raises(Garbage):
        unpack_header(frame)
