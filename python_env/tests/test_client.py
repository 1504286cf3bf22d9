"""The client of served policies, where the way to a server is not a plain one."""

from __future__ import annotations

from concurrent import futures

import grpc
import numpy as np
import pytest

from stein_env import serve_pb2 as pb
from stein_env.client import Client, _answer, _loopback, scale


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


def test_actions_are_scaled_to_the_bounds_of_the_spec() -> None:
    spec = pb.PolicySpec(act_low=[-2, 0], act_high=[2, 1])
    scaled = scale([[-1, 1], [0, -3]], spec.act_low, spec.act_high)
    assert scaled.tolist() == [[-2, 1], [0, 0]]
    with pytest.raises(ValueError, match="no bounds"):  # an imported model's
        scale([0.5], pb.PolicySpec().act_low, pb.PolicySpec().act_high)


@pytest.mark.parametrize(("rows", "answered"), [(None, 2), (3, 2), (1, 3)])
def test_observations_of_another_size_are_no_others(
    rows: int | None, answered: int
) -> None:
    reply = pb.ActResponse(actions=[0.0] * answered, q_values=[0.0] * answered)
    with pytest.raises(ValueError, match=f"took the numbers as {answered}"):
        _answer(reply, rows)
    assert _answer(reply, answered).actions.shape == (answered, 1)
    without = pb.ActResponse(actions=[0.0] * answered, entropies=[0.0] * answered)
    with pytest.raises(ValueError, match=f"took the numbers as {answered}"):
        _answer(without, rows)
    one = pb.ActResponse(actions=[1, 2], q_values=[0])
    assert np.array_equal(_answer(one, None).actions, [1, 2])


def test_a_policy_without_critics_has_no_values() -> None:
    neither = pb.ActResponse(actions=[1, 2, 3, 4])
    assert _answer(neither, 2).actions.shape == (2, 2)
    assert _answer(neither, 2).q_values.size == 0
