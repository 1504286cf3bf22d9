"""The worker's loop: one ROUTER socket, a session per client, one thread."""

from __future__ import annotations

import os
import struct
import time
from dataclasses import dataclass
from typing import TypeVar

import zmq
import zmq.backend
from google.protobuf.message import DecodeError, Message

from stein_env import env_pb2 as pb
from stein_env import logs
from stein_env.copies import Copies, Refusal
from stein_env.wire import (
    HEADER_BYTES,
    MAX_FRAME_BYTES,
    VERSION,
    Garbage,
    Kind,
    pack_header,
    unpack_header,
)

_STEP = int(Kind.STEP)

# How long a wait polls, yielding its processor in between, before it sleeps. A client
# that only acts replies sooner, and waking a sleeping thread is slow; a client that
# learns needs the processor.
EAGER_SECONDS = 150e-6

M = TypeVar("M", bound=Message)


@dataclass
class Session:
    """One client and its environments."""

    copies: Copies
    seen: float
    run: str


@dataclass
class Counters:
    """Counters for the worker's log and tests."""

    garbage: int = 0
    steps: int = 0


class Server:
    """Answers the messages on a bound socket.

    Args:
        socket: a bound ROUTER socket.
        child: end with the first client instead of waiting for another.
        max_sessions: maximum number of concurrent clients.
        idle_seconds: drop clients that are silent for this long, unless ``child``.
        log: receives messages for the operator.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        *,
        child: bool = False,
        max_sessions: int = 16,
        idle_seconds: float = 900.0,
        log: logs.Log = logs.as_text,
    ) -> None:
        self._socket = socket
        self._child = child
        self._max_sessions = 1 if child else max_sessions
        self._idle = idle_seconds
        self._log = log
        self._recv = zmq.backend.Socket.recv
        self._backend_send = zmq.backend.Socket.send
        self._sessions: dict[bytes, Session] = {}
        self._done = False
        self._prompt = False  # the last wait was short
        self.counters = Counters()

    def run(self) -> None:
        """Serve until told to end."""
        self._socket.setsockopt(zmq.RCVTIMEO, 1000)
        try:
            while not self._done:
                self.serve_one()
        finally:
            for session in self._sessions.values():
                session.copies.close()
            self._sessions.clear()

    def stop(self) -> None:
        """End run() within a second."""
        self._done = True

    def serve_one(self) -> None:
        """Wait for a message and answer it, or look for idle sessions."""
        # recv_multipart, and the socket's own send, would cost 15 µs more.
        recv, socket = self._recv, self._socket
        client = self._first_frame()
        if client is None:
            self._forget_idle()
            return
        message = recv(socket)  # a ROUTER's messages have two frames or more
        try:
            if socket.get(zmq.RCVMORE):
                raise Garbage(f"message of {1 + self._skip()} frames")
            self._answer(client, message)
        except Garbage as e:
            self._count_garbage(e)

    def _first_frame(self) -> bytes | None:
        """Wait up to a second, first polling if the last wait was short."""
        recv, socket = self._recv, self._socket
        begin = time.perf_counter()
        if self._prompt:
            awake = begin + EAGER_SECONDS
            while time.perf_counter() < awake:
                try:
                    return recv(socket, zmq.DONTWAIT)
                except zmq.Again:
                    os.sched_yield()
        try:
            client = recv(socket)
        except zmq.Again:
            return None
        self._prompt = time.perf_counter() - begin < 2 * EAGER_SECONDS
        return client

    def _skip(self) -> int:
        """Read the remaining frames of an overlong message."""
        skipped = 0
        while self._socket.get(zmq.RCVMORE):
            self._socket.recv()
            skipped += 1
        return skipped

    def _answer(self, client: bytes, message: bytes) -> None:
        version, kind, seq = unpack_header(message)
        try:
            if version != VERSION:
                raise Refusal(
                    pb.Failure.VERSION,
                    f"the client uses protocol version {version}, this worker version"
                    f" {VERSION}: install the same release of stein and stein_env",
                )
            if kind == _STEP:
                self._step(client, seq, message)
            else:
                self._control(client, kind, seq, message[HEADER_BYTES:])
        except Refusal as e:
            self._send(client, Kind.FAILURE, seq, e.failure.SerializeToString())

    def _step(self, client: bytes, seq: int, message: bytes) -> None:
        copies = self._session(client).copies
        if len(message) != HEADER_BYTES + copies.layout.action_bytes:
            layout = copies.layout
            raise Refusal(
                pb.Failure.SHAPE,
                f"{copies.id}: actions of {len(message) - HEADER_BYTES} bytes, want"
                f" {layout.action_bytes}: float32 [{layout.copies}, {layout.act_dim}]",
            )
        ended = copies.step(message)
        send, socket = self._backend_send, self._socket
        send(socket, client, zmq.SNDMORE)
        send(socket, copies.result.message(seq, ended), 0)

    def _control(self, client: bytes, kind: int, seq: int, body: bytes) -> None:
        if kind == Kind.BYE:
            self._bye(client)
        elif kind == Kind.HELLO:
            welcome = self._hello(client, _parse(pb.Hello(), body))
            self._send(client, Kind.WELCOME, seq, welcome.SerializeToString())
        elif kind == Kind.RESET:
            copies = self._session(client).copies
            copies.reset(_parse(pb.Reset(), body).seed)
            self._send(client, Kind.OBS, seq, copies.result.obs.tobytes())
        elif kind == Kind.RENDER:
            copies = self._session(client).copies
            picture = copies.render(_parse(pb.Render(), body).copy)
            height, width, _ = picture.shape
            size = struct.pack("<II", height, width)
            self._send(client, Kind.PICTURE, seq, size + picture.tobytes())
        else:
            raise Garbage(f"message of kind {kind}")

    def _hello(self, client: bytes, hello: pb.Hello) -> pb.Welcome:
        if old := self._sessions.pop(client, None):
            old.copies.close()
        if len(self._sessions) >= self._max_sessions:
            raise Refusal(
                pb.Failure.BUSY,
                f"this worker has reached its limit of {self._max_sessions} clients",
            )
        copies = Copies(hello)
        self._sessions[client] = Session(copies, time.monotonic(), hello.run)
        if not self._child:
            self._log(
                f"{hello.client or 'a client'} opened {copies.id} x {hello.copies}",
                run=hello.run,
            )
        return copies.welcome()

    def _bye(self, client: bytes) -> None:
        if session := self._sessions.pop(client, None):
            session.copies.close()
            self._done = self._done or self._child

    def _session(self, client: bytes) -> Session:
        session = self._sessions.get(client)
        if session is None:
            raise Refusal(
                pb.Failure.NO_SESSION,
                "no session: the client never opened one, was silent for more than"
                f" {self._idle:.0f} s, or the worker was restarted",
            )
        session.seen = time.monotonic()
        return session

    def _forget_idle(self) -> None:
        since = time.monotonic() - self._idle
        for client, session in list(self._sessions.items()):
            if session.seen < since:
                self._log(
                    f"dropped an idle client of {session.copies.id}", run=session.run
                )
                session.copies.close()
                del self._sessions[client]

    def _send(self, client: bytes, kind: Kind, seq: int, body: bytes) -> None:
        self._socket.send_multipart([client, pack_header(kind, seq) + body])

    def _count_garbage(self, e: Garbage) -> None:
        self.counters.garbage += 1
        if self.counters.garbage.bit_count() == 1:  # 1, 2, 4, 8, ...
            self._log(f"dropped garbage: {e} ({self.counters.garbage} so far)")


def open_socket(context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
    """Return an unbound ROUTER socket with the limits of the protocol."""
    socket = context.socket(zmq.ROUTER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_BYTES)
    socket.setsockopt(zmq.RCVHWM, 64)
    socket.setsockopt(zmq.SNDHWM, 64)
    return socket


def _parse(message: M, body: bytes) -> M:
    try:
        message.ParseFromString(body)
    except DecodeError as e:
        raise Garbage(f"{type(message).__name__}: {e}") from e
    return message
