"""The server on a real socket: sessions, refusals, garbage."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import probe_envs  # noqa: F401  registers probe/*
import pytest
import zmq

from stein_env import env_pb2 as pb
from stein_env.server import Server, open_socket
from stein_env.wire import HEADER_BYTES, Kind, pack_header, unpack_header

HELLO = pb.Hello(env="probe/Probe-v0", copies=1)


class Running:
    """A server in a thread, and clients of it."""

    def __init__(self, context: zmq.Context[Any], **settings: Any) -> None:
        self.context = context
        socket = open_socket(context)
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        self.endpoint = f"tcp://127.0.0.1:{port}"
        self.server = Server(socket, **settings)
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()

    def client(self) -> Client:
        socket = self.context.socket(zmq.DEALER)
        socket.setsockopt(zmq.RCVTIMEO, 10_000)
        socket.connect(self.endpoint)
        return Client(socket)


class Client:
    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.socket = socket

    def ask(self, kind: Kind, body: bytes = b"", seq: int = 1) -> tuple[Kind, bytes]:
        self.socket.send(pack_header(kind, seq) + body)
        return self.answer(seq)

    def answer(self, seq: int) -> tuple[Kind, bytes]:
        message = self.socket.recv()
        version, kind, got = unpack_header(message)
        assert (version, got) == (1, seq)
        return Kind(kind), message[HEADER_BYTES:]

    def opens(self) -> None:
        kind, _ = self.ask(Kind.HELLO, HELLO.SerializeToString())
        assert kind is Kind.WELCOME
        kind, _ = self.ask(Kind.RESET, pb.Reset(seed=1).SerializeToString())
        assert kind is Kind.OBS

    def steps(self, seq: int = 2) -> None:
        kind, _ = self.ask(Kind.STEP, np.zeros(2, "<f4").tobytes(), seq)
        assert kind is Kind.RESULT

    def refused(self, kind: Kind, body: bytes = b"") -> pb.Failure:
        answered, failure = self.ask(kind, body)
        assert answered is Kind.FAILURE
        return parse(failure)


def parse(body: bytes) -> pb.Failure:
    failure = pb.Failure()
    failure.ParseFromString(body)
    return failure


@pytest.fixture
def serve(request: pytest.FixtureRequest) -> Iterator[Running]:
    context: zmq.Context[Any] = zmq.Context()
    running = Running(context, **getattr(request, "param", {}))
    yield running
    running.server.stop()
    running.thread.join(5)
    assert not running.thread.is_alive()
    context.destroy(linger=0)


def test_clients_have_environments_of_their_own(serve: Running) -> None:
    one, two = serve.client(), serve.client()
    one.opens()
    one.steps()
    two.opens()
    two.steps()
    one.socket.send(pack_header(Kind.BYE, 3))
    two.steps()
    assert one.refused(Kind.STEP, bytes(8)).code == pb.Failure.NO_SESSION


@pytest.mark.parametrize("serve", [{"max_sessions": 1}], indirect=True)
def test_more_clients_than_it_takes(serve: Running) -> None:
    one, two = serve.client(), serve.client()
    one.opens()
    assert two.refused(Kind.HELLO, HELLO.SerializeToString()).code == pb.Failure.BUSY
    one.opens()  # again: its old session goes


@pytest.mark.parametrize("serve", [{"idle_seconds": 0.1}], indirect=True)
def test_idle_clients_are_forgotten(serve: Running) -> None:
    client = serve.client()
    client.opens()
    time.sleep(1.5)
    failure = client.refused(Kind.STEP, bytes(8))
    assert failure.code == pb.Failure.NO_SESSION


def test_other_versions_and_sizes_are_refused(serve: Running) -> None:
    client = serve.client()
    client.socket.send(pack_header(Kind.HELLO, 7, version=9) + b"whatever it is then")
    kind, body = client.answer(7)
    failure = parse(body)
    assert (kind, failure.code) == (Kind.FAILURE, pb.Failure.VERSION)
    assert (
        "the client uses protocol version 9, this worker version 1" in failure.message
    )

    client.opens()
    failure = client.refused(Kind.STEP, bytes(12))
    assert failure.code == pb.Failure.SHAPE
    assert "actions of 12 bytes, want 8: float32 [1, 2]" in failure.message
    client.steps()


def test_garbage_is_dropped_and_counted(serve: Running) -> None:
    client, thrower = serve.client(), serve.client()
    client.opens()
    rng = np.random.default_rng(0)
    thrown: list[list[bytes]] = [
        [b""],
        [b"", b"", b""],
        [pack_header(Kind.STEP, 1), bytes(8)],
        [pack_header(Kind.WELCOME, 1)],
        [pack_header(99, 1)],
        [pack_header(Kind.HELLO, 1) + b"\xff\xff\xff\xff"],
        [bytes(1 << 20)],
    ]
    thrown += [[rng.bytes(int(rng.integers(200)))] for _ in range(200)]
    thrown += [[rng.bytes(5)] * int(rng.integers(2, 9)) for _ in range(50)]
    for n, frames in enumerate(thrown):
        thrower.socket.send_multipart(frames)
        if n % 10 == 0:
            client.steps(n + 2)
    thrower.opens()
    # What it opens comes after what it threw.
    assert serve.server.counters.garbage == len(thrown)
    client.steps()


def test_a_frame_beyond_the_limit_ends_the_connection(serve: Running) -> None:
    client, thrower = serve.client(), serve.client()
    client.opens()
    thrower.socket.setsockopt(zmq.SNDTIMEO, 5000)
    thrower.socket.send(pack_header(Kind.HELLO, 1) + bytes(64 << 20))
    client.steps()
    assert serve.server.counters.garbage == 0
    assert thrower.socket.poll(200) == 0


def test_bytes_that_are_no_zeromq(serve: Running) -> None:
    import socket

    client = serve.client()
    client.opens()
    host, port = serve.endpoint.removeprefix("tcp://").split(":")
    for junk in (b"GET / HTTP/1.1\r\n\r\n", bytes(100), b"\xff" * 4096):
        with socket.create_connection((host, int(port))) as raw:
            raw.sendall(junk)
    client.steps()
