"""The message layout of docs/protocol.md.

A message is one frame: 16 bytes of header, then the body of its kind, which is a
Protocol Buffers message for control and raw little-endian arrays for steps.
envbridge/wire.go implements it in Go; the files of envbridge/testdata/frames
test both.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

MAGIC = b"STNB"
VERSION = 1

# ZeroMQ drops the connection on a larger frame, on both sides.
MAX_FRAME_BYTES = 64 << 20

_HEADER = struct.Struct("<4sBBHQ")
HEADER_BYTES = _HEADER.size

TERMINATED = 1
TRUNCATED = 2

F4 = np.dtype("<f4")


class Kind(IntEnum):
    """Message types. Requests are odd; each answer is its request plus one."""

    HELLO = 1
    WELCOME = 2
    RESET = 3
    OBS = 4
    STEP = 5
    RESULT = 6
    RENDER = 7
    PICTURE = 8
    BYE = 9
    FAILURE = 10


class Garbage(ValueError):  # noqa: N818
    """Frames that are not a message of this protocol."""


def pack_header(kind: int, seq: int, version: int = VERSION) -> bytes:
    """Return the 16-byte header of a message."""
    return _HEADER.pack(MAGIC, version, kind, 0, seq)


def unpack_header(frame: bytes) -> tuple[int, int, int]:
    """Return (version, kind, seq) of a message.

    Raises:
        Garbage: the frame has no valid header, of any version.
    """
    if len(frame) < HEADER_BYTES:
        raise Garbage(f"message of {len(frame)} bytes, its header has {HEADER_BYTES}")
    magic, version, kind, _, seq = _HEADER.unpack_from(frame)
    if magic != MAGIC:
        raise Garbage(f"message starts with {magic!r}, want {MAGIC!r}")
    return version, kind, seq


@dataclass(frozen=True)
class Layout:
    """Sizes of the bodies of a session: n copies, O and A numbers each."""

    copies: int
    obs_dim: int
    act_dim: int

    @property
    def action_bytes(self) -> int:
        """Body of STEP: float32 [n, A]."""
        return 4 * self.copies * self.act_dim

    @property
    def obs_bytes(self) -> int:
        """Body of OBS: float32 [n, O]."""
        return 4 * self.copies * self.obs_dim

    @property
    def ends_bytes(self) -> int:
        """The ends in a RESULT: uint8 [n], padded with zeros to a multiple of four."""
        return (self.copies + 3) // 4 * 4

    @property
    def result_bytes(self) -> int:
        """RESULT's body before the last observations: obs [n, O], reward [n], ends."""
        return self.obs_bytes + 4 * self.copies + self.ends_bytes


class Result:
    """A RESULT message, filled in place step after step.

    ``obs`` is the observation to act on; copies that ended have their last
    observation in ``final``, one row per ended copy in their order. ``message``
    gives the bytes to send.
    """

    def __init__(self, layout: Layout) -> None:
        n, o = layout.copies, layout.obs_dim
        self._size = HEADER_BYTES + layout.result_bytes
        self._row_bytes = 4 * o
        self._bytes = bytearray(self._size + layout.obs_bytes)
        self._view = memoryview(self._bytes)
        self._usual = self._view[: self._size]
        at = HEADER_BYTES
        self.obs = self._floats(at, n * o).reshape(n, o)
        at += layout.obs_bytes
        self.reward = self._floats(at, n)
        at += 4 * n
        self.ends: npt.NDArray[np.uint8] = np.frombuffer(self._bytes, np.uint8, n, at)
        self.final = self._floats(self._size, n * o).reshape(n, o)

    def _floats(self, at: int, count: int) -> npt.NDArray[np.float32]:
        return np.frombuffer(self._bytes, F4, count, at)

    def message(self, seq: int, ended: int) -> memoryview:
        """Return the message, with the last observations of copies that ended."""
        _HEADER.pack_into(self._bytes, 0, MAGIC, VERSION, Kind.RESULT, 0, seq)
        if ended:
            return self._view[: self._size + ended * self._row_bytes]
        return self._usual
