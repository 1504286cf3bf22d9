"""The client of served policies, where the way to a server is not a plain one."""

from __future__ import annotations

from concurrent import futures

import grpc
import pytest

from stein_env import serve_pb2 as pb
from stein_env.client import Client, _loopback


@pytest.mark.parametrize("name", ["http_proxy", "grpc_proxy", "https_proxy"])
def test_a_proxy_is_no_way_to_this_machine(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def specs(_request: pb.SpecRequest, _context: object) -> pb.SpecResponse:
        return pb.SpecResponse(policies=[pb.PolicySpec(name="walk")])

    handler = grpc.method_handlers_generic_handler(
        "stein.serve.v1.Policies",
        {
            "Spec": grpc.unary_unary_rpc_method_handler(
                specs,
                request_deserializer=pb.SpecRequest.FromString,
                response_serializer=pb.SpecResponse.SerializeToString,
            )
        },
    )
    server = grpc.server(futures.ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    for variable in ("no_proxy", "no_grpc_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(name, "http://192.0.2.1:3128")  # nobody answers there
    try:
        for host in ("127.0.0.1", "localhost", "ipv4:127.0.0.1"):
            with Client(f"{host}:{port}", timeout=10) as client:
                assert [policy.name for policy in client.specs()] == ["walk"]
    finally:
        server.stop(None)


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("127.0.0.1:50051", True),
        ("127.0.0.2:1", True),
        ("localhost:50051", True),
        ("LOCALHOST:1", True),
        ("localhost", True),
        ("[::1]:50051", True),
        ("::1", True),
        ("unix:/run/stein", True),
        ("unix-abstract:stein", True),
        ("dns:///localhost:50051", True),
        ("ipv4:127.0.0.1:50051", True),
        ("ipv6:[::1]:50051", True),
        ("192.0.2.1:50051", False),
        ("localhost.example.org:1", False),
        ("dns://127.0.0.1/example.org:1", False),
        ("[2001:db8::1]:1", False),
    ],
)
def test_which_addresses_are_this_machine(address: str, here: bool) -> None:
    assert _loopback(address) == here
