"""The layout of messages, as docs/protocol.md fixes it.

A message is a header frame, then the frames of its kind: one Protocol Buffers
message for control, raw little-endian arrays for steps. envbridge/wire.go is the
same thing in Go; the files of envbridge/testdata/frames test both.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

MAGIC = b"STNB"
VERSION = 1

# Both sides have ZeroMQ drop the connection on a frame above this many bytes,
# and drop a message of more frames than any kind has.
MAX_FRAME_BYTES = 64 << 20
MAX_FRAMES = 3

_HEADER = struct.Struct("<4sBBHQ")
HEADER_BYTES = _HEADER.size

TERMINATED = 1
TRUNCATED = 2


class Kind(IntEnum):
    """What a message is. Requests are odd, their answers follow."""

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
    """Frames that are no message of this protocol."""


def pack_header(kind: int, seq: int, version: int = VERSION) -> bytes:
    """Return the 16 bytes in front of every message."""
    return _HEADER.pack(MAGIC, version, kind, 0, seq)


def unpack_header(frame: bytes | memoryview) -> tuple[int, int, int]:
    """Return (version, kind, seq).

    Raises:
        Garbage: the frame is no header, of whatever version.
    """
    if len(frame) != HEADER_BYTES:
        raise Garbage(f"header of {len(frame)} bytes, want {HEADER_BYTES}")
    magic, version, kind, _, seq = _HEADER.unpack(frame)
    if magic != MAGIC:
        raise Garbage(f"header starts with {magic!r}, want {MAGIC!r}")
    return version, kind, seq


@dataclass(frozen=True)
class Layout:
    """Sizes of the array frames of a session: n copies, O and A numbers each."""

    copies: int
    obs_dim: int
    act_dim: int

    @property
    def action_bytes(self) -> int:
        """Frame of STEP: float32 [n, A]."""
        return 4 * self.copies * self.act_dim

    @property
    def obs_bytes(self) -> int:
        """Frame of OBS: float32 [n, O]."""
        return 4 * self.copies * self.obs_dim

    @property
    def result_bytes(self) -> int:
        """First frame of RESULT: float32 obs [n, O], reward [n]; uint8 ends [n]."""
        return self.obs_bytes + 5 * self.copies


class Result:
    """The frames of a RESULT, filled in place step after step.

    ``obs`` is where each copy goes on; the copies that ended have their last
    observation in ``final``, one row per ended copy in their order, of which
    ``final_frame`` gives the part in use.
    """

    def __init__(self, layout: Layout) -> None:
        n, o = layout.copies, layout.obs_dim
        self.frame = bytearray(layout.result_bytes)
        self.obs: npt.NDArray[np.float32] = np.frombuffer(
            self.frame, "<f4", n * o
        ).reshape(n, o)
        self.reward: npt.NDArray[np.float32] = np.frombuffer(
            self.frame, "<f4", n, 4 * n * o
        )
        self.ends: npt.NDArray[np.uint8] = np.frombuffer(
            self.frame, np.uint8, n, 4 * n * (o + 1)
        )
        self._final = bytearray(layout.obs_bytes)
        self.final: npt.NDArray[np.float32] = np.frombuffer(
            self._final, "<f4", n * o
        ).reshape(n, o)
        self._row_bytes = 4 * o

    def final_frame(self, ended: int) -> memoryview:
        """Return the rows of the first ``ended`` copies that ended."""
        return memoryview(self._final)[: ended * self._row_bytes]
