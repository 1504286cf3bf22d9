"""ZeroMQ CURVE keys: authentication of workers and clients over a network.

``stein keys`` writes two files: server.key for the worker, client.key for the
trainer. Each has the key pair of its side and the public key of the other.
"""

from __future__ import annotations

import ipaddress
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import zmq

if TYPE_CHECKING:
    from zmq.auth.thread import ThreadAuthenticator

HEADING = "stein curve key v1"


class KeyFileError(ValueError):
    """A key file that cannot be used."""


@dataclass(frozen=True)
class Key:
    """One side's key file; the keys are 40 characters of Z85."""

    role: str
    public: bytes
    secret: bytes
    peer: bytes


def load(path: Path, role: str) -> Key:
    """Read a key file.

    Raises:
        KeyFileError: the file is missing, readable by others, or not a key file.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise KeyFileError(f"key file {path}: {e}") from e
    if mode & 0o077:
        raise KeyFileError(
            f"key file {path}: mode {mode:04o} lets others read it; chmod 600 {path}"
        )
    if not lines or lines[0].strip() != HEADING:
        raise KeyFileError(f"key file {path}: doesn't start with {HEADING!r}")
    fields: dict[str, str] = {}
    for line in lines[1:]:
        name, _, value = line.partition(" ")
        fields[name] = value.strip()
    if fields.get("role") != role:
        raise KeyFileError(
            f"key file {path}: this is the {fields.get('role')!r} key, want the"
            f" {role!r} key"
        )
    keys = []
    for name in ("public", "secret", "peer"):
        key = fields.get(name, "").encode()
        if len(key) != 40:
            raise KeyFileError(f"key file {path}: {name} key has {len(key)} characters")
        keys.append(key)
    return Key(role, *keys)


def is_loopback(endpoint: str) -> bool:
    """Return whether a tcp endpoint is reachable only from this machine."""
    host = urlsplit(endpoint).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def secure(
    context: zmq.Context[zmq.Socket[bytes]], socket: zmq.Socket[bytes], key: Key
) -> ThreadAuthenticator:
    """Make the socket accept only the client in the key file.

    Returns:
        The authenticator, running; stop it before the context ends.
    """
    # It imports asyncio, a third of the imports of a worker without keys.
    from zmq.auth.thread import ThreadAuthenticator

    authenticator = ThreadAuthenticator(context)
    authenticator.start()
    authenticator.configure_curve_callback("*", _OneClient(key.peer))
    socket.setsockopt(zmq.CURVE_SERVER, 1)
    socket.setsockopt(zmq.CURVE_PUBLICKEY, key.public)
    socket.setsockopt(zmq.CURVE_SECRETKEY, key.secret)
    return authenticator


class _OneClient:
    def __init__(self, public: bytes) -> None:
        self._public = public

    def callback(self, _domain: str, key: bytes) -> bool:
        return key == self._public
