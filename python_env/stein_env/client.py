"""Client of a policy server (``stein serve``).

    with Client("127.0.0.1:50051") as policies:
        action = policies.act(observation, deterministic=True).actions

The schema is proto/stein/serve/v1/serve.proto of Stein's repository.
"""

from __future__ import annotations

import contextlib
import ipaddress
import queue
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt

from stein_env import serve_pb2 as pb

_SERVICE = "/stein.serve.v1.Policies/"
_ENERGIES = "/stein.serve.v1.Energies/"

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Answer:
    """The answer to one observation or n of them."""

    actions: Array
    """In [-1, 1], [A] or [n, A]; ``scale`` converts them to an environment's bounds."""
    log_probs: Array
    """log π(a|s), [n]; empty for deterministic actions."""
    entropies: Array
    """Entropy of the policy at each observation, in nats, [n]."""
    q_values: Array
    """Value of the action: the smaller of the two critics' values, [n].

    Empty for a policy exported without its critics."""
    step: int
    """Environment steps of the checkpoint that answered."""


def scale(actions: npt.ArrayLike, low: npt.ArrayLike, high: npt.ArrayLike) -> Array:
    """Scale actions in [-1, 1] to the bounds of an action space.

    Args:
        actions: [A] or [n, A].
        low: lower bounds, such as ``act_low`` of ``Client.specs``.
        high: upper bounds.
    """
    low, high = np.asarray(low), np.asarray(high)
    if low.size == 0 or high.size == 0:
        raise ValueError("no bounds: take those of the environment's action_space")
    scaled = low + (np.asarray(actions) + 1) / 2 * (high - low)
    return np.asarray(np.clip(scaled, low, high), np.float32)


class Client:
    """A connection to a server. It is safe for use by several threads.

    Errors are ``grpc.RpcError``: see ``code()``. RESOURCE_EXHAUSTED
    means that the server is overloaded; try again later.
    """

    def __init__(
        self,
        address: str = "127.0.0.1:50051",
        *,
        policy: str = "",
        timeout: float = 10.0,
        token: str | None = None,
        root_certificates: bytes | None = None,
        certificate: bytes | None = None,
        key: bytes | None = None,
        tls: bool = False,
    ) -> None:
        """Prepare a connection. It is opened on first use.

        Args:
            address: host and port.
            policy: name of the policy; empty: the server's first.
            timeout: time limit of an answer, in seconds.
            token: bearer token of the server. Without TLS it is sent to this
                machine only.
            root_certificates: PEM of the server's certificate authority; with it
                or with ``tls`` the connection is encrypted.
            certificate: PEM of the client's certificate, if the server needs one.
            key: PEM of its key.
            tls: encrypt, and trust gRPC's default authorities.
        """
        self._policy, self._timeout = policy, timeout
        self._metadata = [("authorization", f"Bearer {token}")] if token else None
        # gRPC would use $http_proxy, which cannot reach this machine's ports.
        options = [("grpc.enable_http_proxy", 0)] if _loopback(address) else []
        if tls or root_certificates or certificate:
            credentials = grpc.ssl_channel_credentials(
                root_certificates, key, certificate
            )
            self._channel = grpc.secure_channel(address, credentials, options)
        elif token and not _loopback(address):
            raise ValueError(f"{address}: the token would be sent in plaintext")
        else:
            self._channel = grpc.insecure_channel(address, options)
        self._act = self._channel.unary_unary(
            _SERVICE + "Act",
            request_serializer=pb.ActRequest.SerializeToString,
            response_deserializer=pb.ActResponse.FromString,
        )
        self._stream = self._channel.stream_stream(
            _SERVICE + "Stream",
            request_serializer=pb.ActRequest.SerializeToString,
            response_deserializer=pb.ActResponse.FromString,
        )
        self._spec = self._channel.unary_unary(
            _SERVICE + "Spec",
            request_serializer=pb.SpecRequest.SerializeToString,
            response_deserializer=pb.SpecResponse.FromString,
        )
        self._score = self._channel.unary_unary(
            _ENERGIES + "Score",
            request_serializer=pb.ScoreRequest.SerializeToString,
            response_deserializer=pb.ScoreResponse.FromString,
        )
        self._models = self._channel.unary_unary(
            _ENERGIES + "Models",
            request_serializer=pb.ModelsRequest.SerializeToString,
            response_deserializer=pb.ModelsResponse.FromString,
        )

    def act(
        self,
        observations: npt.ArrayLike,
        *,
        deterministic: bool = False,
        seed: int | None = None,
    ) -> Answer:
        """Return actions for one observation [S], or for several [n, S].

        Args:
            observations: raw observations of the environment.
            deterministic: greedy actions instead of samples.
            seed: makes the random draws reproducible.
        """
        request, rows = self._request(observations, deterministic, seed)
        reply = self._act(request, timeout=self._timeout, metadata=self._metadata)
        return _answer(reply, rows)

    def stream(self) -> Stream:
        """Open a stream for a control loop, to be used in a ``with``."""
        return Stream(self)

    def specs(self) -> Sequence[pb.PolicySpec]:
        """Return the policies of the server."""
        reply = self._spec(
            pb.SpecRequest(), timeout=self._timeout, metadata=self._metadata
        )
        return list(reply.policies)

    def score(
        self, images: npt.ArrayLike | Sequence[bytes], *, model: str = ""
    ) -> npt.NDArray[np.float64]:
        """Return the energy f of images by an image model, [n].

        Args:
            images: uint8 [n, height, width, channels] of the model's own size, or
                [n, height, width]; or the bytes of PNG or JPEG files.
            model: name of the image model; empty: the server's first.
        """
        listed = images if isinstance(images, (list, tuple)) else ()
        files = [i for i in listed if isinstance(i, bytes)]
        if files and len(files) == len(listed):
            request = pb.ScoreRequest(model=model, files=files)
        else:
            pixels = np.asarray(images)
            if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4):
                raise ValueError(
                    f"images of {pixels.dtype} {pixels.shape}, want uint8"
                    " [n, height, width, channels]"
                )
            request = pb.ScoreRequest(model=model, pixels=pixels.tobytes())
        reply = self._score(request, timeout=self._timeout, metadata=self._metadata)
        return np.asarray(reply.energies, np.float64)

    def models(self) -> Sequence[pb.ModelSpec]:
        """Return what image models the server has."""
        reply = self._models(
            pb.ModelsRequest(), timeout=self._timeout, metadata=self._metadata
        )
        return list(reply.models)

    def close(self) -> None:
        """End the connection."""
        self._channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _request(
        self, observations: npt.ArrayLike, deterministic: bool, seed: int | None
    ) -> tuple[pb.ActRequest, int | None]:
        obs = np.asarray(observations, np.float32)
        if obs.ndim not in (1, 2):
            raise ValueError(
                f"observations of shape {obs.shape}, want [S] or [n, S]: flatten them"
            )
        request = pb.ActRequest(
            policy=self._policy,
            observations=obs.ravel().tolist(),
            deterministic=deterministic,
            seed=seed,
        )
        return request, None if obs.ndim == 1 else obs.shape[0]


class Stream:
    """A stream for a control loop, with less overhead per call than ``Client.act``.

    It is not thread-safe. After an error, open a new one.
    """

    def __init__(self, client: Client) -> None:
        """Open it; ``Client.stream`` does."""
        self._client = client
        self._requests: queue.SimpleQueue[pb.ActRequest | None] = queue.SimpleQueue()
        self._replies: Any = client._stream(self._sent(), metadata=client._metadata)

    def _sent(self) -> Iterator[pb.ActRequest]:
        while (request := self._requests.get()) is not None:
            yield request

    def act(
        self,
        observations: npt.ArrayLike,
        *,
        deterministic: bool = False,
        seed: int | None = None,
    ) -> Answer:
        """Return actions, as ``Client.act`` does."""
        request, rows = self._client._request(observations, deterministic, seed)
        self._requests.put(request)
        return _answer(next(self._replies), rows)

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._requests.put(None)
        if kind is None:
            # A channel that is closed under an open stream can hang the process's end.
            with contextlib.suppress(grpc.RpcError):
                next(self._replies, None)
        self._replies.cancel()


def _answer(reply: pb.ActResponse, rows: int | None) -> Answer:
    actions = np.array(reply.actions, np.float32)
    taken = len(reply.q_values) or len(reply.entropies)
    if taken not in (0, 1 if rows is None else rows):
        raise ValueError(
            f"the server took the numbers as {taken} observations, not"
            f" {1 if rows is None else rows}: their size is not the policy's obs_dim"
        )
    return Answer(
        actions if rows is None else actions.reshape(rows, -1),
        np.array(reply.log_probs, np.float32),
        np.array(reply.entropies, np.float32),
        np.array(reply.q_values, np.float32),
        reply.step,
    )


def _loopback(address: str) -> bool:
    """Return whether a gRPC address, such as ipv4:127.0.0.1:5, is this machine."""
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    for scheme in ("dns:", "ipv4:", "ipv6:"):
        if address.startswith(scheme):
            address = address.removeprefix(scheme).rpartition("/")[2]
    host = address
    if address.count(":") == 1 or address.startswith("["):
        host = address.rsplit(":", 1)[0] if not address.endswith("]") else address
    host = host.strip("[]")
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
