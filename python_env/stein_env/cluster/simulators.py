"""A simulator worker on a node of a Ray cluster, reached over ZeroMQ with CURVE keys.

The worker's secret key is created on its node and never leaves the process. Ray
transports only the public keys of client and worker.
"""

from __future__ import annotations

import threading
from typing import Any

import ray
import zmq

from stein_env import curve
from stein_env.server import Server, open_socket


class Simulator:
    """An actor that serves environments to the one client of the key."""

    def __init__(self, client: str) -> None:
        public, secret = zmq.curve_keypair()
        key = curve.Key("server", public, secret, client.encode())
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        socket = open_socket(context)
        self._authenticator = curve.secure(context, socket, key)
        socket.bind(f"tcp://{_address()}:*")
        self._endpoint = socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self._public = public.decode()
        server = Server(socket)
        threading.Thread(target=server.run, daemon=True).start()

    def where(self) -> dict[str, Any]:
        """Return the endpoint and the worker's public key."""
        return {"endpoint": self._endpoint, "public": self._public}


def _address() -> str:
    return str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]
