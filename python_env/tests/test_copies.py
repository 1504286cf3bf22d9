"""Copies: ends, seeds, scaling, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import probe_envs  # noqa: F401  registers probe/*
import pytest

from stein_env import env_pb2 as pb
from stein_env.copies import Copies, Refusal
from stein_env.wire import HEADER_BYTES, TERMINATED, TRUNCATED


def hello(name: str, copies: int = 1, **kwargs: Any) -> pb.Hello:
    env = name if "-v" in name else f"probe/{name}-v0"
    return pb.Hello(env=env, copies=copies, kwargs_json=json.dumps(kwargs))


def act(copies: Copies, value: float) -> bytes:
    """Return a STEP message that sends one number for every action."""
    layout = copies.layout
    floats = np.full(layout.copies * layout.act_dim, value, "<f4")
    return bytes(HEADER_BYTES) + floats.tobytes()


@pytest.mark.parametrize(
    ("asked", "code", "words"),
    [
        (
            pb.Hello(env="Walker2dv5", copies=1),
            "UNKNOWN_ENV",
            "did you mean Walker2d-v5",
        ),
        (
            pb.Hello(env="walker2d-V5", copies=1),
            "UNKNOWN_ENV",
            "did you mean Walker2d-v5",
        ),
        (pb.Hello(env="Qwertyuiop", copies=1), "UNKNOWN_ENV", "for an environment of"),
        (pb.Hello(env="no_mod:X-v0", copies=1), "UNKNOWN_ENV", "'no_mod' can't be imp"),
        (pb.Hello(env="json:X-v0", copies=1), "UNKNOWN_ENV", "no such environment"),
        (hello("probe/Prob-v0"), "UNKNOWN_ENV", "did you mean probe/Probe-v0?"),
        (hello("CartPole-v1"), "SPACE", "action space is Discrete"),
        (hello("Spaces", obs="discrete"), "SPACE", "observation space is Discrete"),
        (hello("Spaces", obs="dict"), "SPACE", "FlattenObservation"),
        (hello("Spaces", obs="pixels"), "SPACE", "holds uint8"),
        (hello("Spaces", act="unbounded"), "SPACE", "actions without bounds"),
        (hello("Spaces", act="half"), "SPACE", "actions without bounds"),
        (hello("Spaces", act="empty"), "SPACE", "action bounds are empty"),
        (hello("Spaces", obs="none"), "SPACE", "has no numbers"),
        (hello("Spaces", gives="three"), "SHAPE", "observation of shape (3,)"),
        (hello("Spaces", gives="dict"), "SHAPE", "observation of shape ()"),
        (hello("Probe", colour="red"), "RAISED", "argument 'colour'"),
        (hello("Probe", copies=0), "REQUEST", "0 copies"),
        (hello("Probe", copies=5000), "REQUEST", "5000 copies"),
        (
            pb.Hello(env="probe/Probe-v0", copies=1, kwargs_json="["),
            "REQUEST",
            "Expect",
        ),
        (
            pb.Hello(env="probe/Probe-v0", copies=1, kwargs_json="3"),
            "REQUEST",
            "no JSON",
        ),
    ],
)
def test_refusals(asked: pb.Hello, code: str, words: str) -> None:
    with pytest.raises(Refusal) as refusal:
        Copies(asked)
    failure = refusal.value.failure
    assert pb.Failure.Code.Name(failure.code) == code
    assert words in failure.message
    assert "\n" not in failure.message


@pytest.mark.parametrize(
    ("end", "flag"),
    [("terminated", TERMINATED), ("truncated", TRUNCATED), ("both", TERMINATED)],
)
def test_ends(end: str, flag: int) -> None:
    copies = Copies(hello("Probe", copies=2, end=end, length=3))
    copies.reset(0)
    result = copies.result
    for n in range(7):
        ended = copies.step(act(copies, 0.25))
        last = n % 3 == 2
        assert ended == (2 if last else 0)
        assert result.ends.tolist() == ([flag] * 2 if last else [0, 0])
        assert result.reward.tolist() == [0.5, 0.5]
        assert result.obs[:, 1].tolist() == [(n + 1) % 3] * 2
        if last:
            assert result.final[:, 1].tolist() == [3, 3]


def test_only_ended_copies_have_a_final_row() -> None:
    copies = Copies(hello("Probe", copies=3))
    copies.reset(0)
    copies.envs[1].unwrapped.length = 2  # type: ignore[attr-defined]
    assert copies.step(act(copies, 0)) == 0
    assert copies.step(act(copies, 0)) == 1
    assert copies.result.ends.tolist() == [0, TERMINATED, 0]
    assert copies.result.final[0, 1] == 2
    assert copies.result.obs[:, 1].tolist() == [2, 0, 2]


def test_seeds_of_environment_and_action_space() -> None:
    def draws(seed: int) -> tuple[list[float], list[npt.NDArray[Any]]]:
        copies = Copies(hello("Probe", copies=3))
        copies.reset(seed)
        samples = [env.action_space.sample() for env in copies.envs]
        return copies.result.obs[:, 2].tolist(), samples

    obs, samples = draws(3)
    again, same = draws(3)
    later, shifted = draws(4)
    assert obs == again
    assert obs[1:] == later[:2]
    np.testing.assert_array_equal(samples, same)
    np.testing.assert_array_equal(samples[1:], shifted[:2])


def test_scaling_stays_within_bounds() -> None:
    copies = Copies(hello("Scaled"))
    copies.reset(0)
    for value in np.linspace(-1, 1, 41):
        copies.step(act(copies, float(value)))  # the environment asserts the bounds
    copies.step(act(copies, 1))
    assert copies.result.obs.reshape(-1).tolist() == [2, 1, 30, 1]
    copies.step(act(copies, -1))
    assert copies.result.obs.reshape(-1).tolist() == [-2, 0, 10, -1]


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("raise", "ValueError: the floor is lava"),
        ("exit", "SystemExit: bye"),
        ("text reward", "could not convert string to float"),
    ],
)
def test_what_an_environment_raises(what: str, words: str) -> None:
    copies = Copies(hello("Probe", copies=2, act=what, at=2))
    copies.reset(0)
    copies.step(act(copies, 0.5))
    with pytest.raises(Refusal) as refusal:
        copies.step(act(copies, 0.5))
    failure = refusal.value.failure
    assert failure.code == pb.Failure.RAISED
    assert words in failure.exception
    assert "probe_envs.py" in failure.traceback or what == "text reward"
    assert (failure.copy, failure.step, list(failure.action)) == (0, 2, [0.5, 0.5])


def test_reset_that_raises() -> None:
    copies = Copies(hello("Probe", act="raise in reset"))
    with pytest.raises(Refusal, match="reset is broken"):
        copies.reset(0)


def test_observation_that_changes_its_shape() -> None:
    copies = Copies(hello("Probe", act="wrong shape", at=1))
    copies.reset(0)
    with pytest.raises(Refusal, match=r"observation of shape \(1,\)"):
        copies.step(act(copies, 0))


def test_welcome_says_what_there_is() -> None:
    w = Copies(hello("Scaled", copies=2)).welcome()
    assert (w.copies, list(w.obs_shape), list(w.act_shape)) == (2, [2, 2], [2, 2])
    assert (w.obs_dtype, w.act_dtype) == ("float32", "float64")
    assert list(w.act_low) == [-2, 0, 10, -1]
    assert list(w.act_high) == [2, 1, 30, 1]
    assert w.max_steps == 0
    assert {"python", "gymnasium", "numpy", "mujoco"} <= set(w.versions)


def test_walker2d_is_what_gymnasium_steps() -> None:
    import gymnasium as gym

    copies = Copies(hello("Walker2d-v5"))
    copies.reset(5)
    plain = gym.make("Walker2d-v5")
    obs, _ = plain.reset(seed=5)
    rng = np.random.default_rng(0)
    for _ in range(200):
        np.testing.assert_array_equal(copies.result.obs[0], obs.astype(np.float32))
        action = rng.uniform(-1, 1, 6).astype(np.float32)
        copies.step(bytes(HEADER_BYTES) + action.tobytes())
        obs, reward, terminated, truncated, _ = plain.step(action)
        assert copies.result.reward[0] == np.float32(reward)
        if terminated or truncated:
            final = copies.result.final[0]
            np.testing.assert_array_equal(final, obs.astype(np.float32))
            obs, _ = plain.reset()
