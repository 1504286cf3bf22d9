"""Copies: ends, seeds, scaling, and what is refused."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import probe_envs  # registers probe/*
import pytest

from stein_env import env_pb2 as pb
from stein_env.copies import Copies, Refusal, resolve
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
        (
            pb.Hello(env="Qwertyuiop", copies=1),
            "UNKNOWN_ENV",
            "for a custom environment",
        ),
        (
            pb.Hello(env="no_mod:X-v0", copies=1),
            "UNKNOWN_ENV",
            "import module 'no_mod'",
        ),
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
        (hello("Spaces", gives="dict"), "SHAPE", "observation of shape () (dict {"),
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
            "not a JSON object",
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
    assert "probe_envs.py" in failure.traceback
    assert (failure.copy, failure.step, list(failure.action)) == (0, 2, [0.5, 0.5])


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("float", 0.5),
        ("float32", 0.5),
        ("int", 3),
        ("int8", 3),
        ("bool", 1),
        ("npbool", 1),
        ("array0", 0.5),
        ("array1", 0.5),
        ("list", 0.5),
        ("decimal", 0.5),
    ],
)
def test_rewards_that_are_one_number(kind: str, value: float) -> None:
    copies = Copies(hello("Strange", reward=kind))
    copies.reset(0)
    copies.step(act(copies, 0))
    assert copies.result.reward[0] == value


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("none", "the reward is None, want one number"),
        ("two", "the reward is an array of float64 of shape (2,), want one"),
        ("empty", "of shape (0,)"),
        ("text", "the reward is str '0.5', want"),
        ("complex", "the reward is complex (0.5+1j), want"),
        ("dict", "the reward is dict {'goal': 1}"),
        ("ragged", "the reward is list [1, [2, 3]]"),
        ("large", "int too large to convert to float"),
    ],
)
def test_rewards_that_are_refused(kind: str, words: str) -> None:
    copies = Copies(hello("Strange", reward=kind))
    copies.reset(0)
    with pytest.raises(Refusal) as refusal:
        copies.step(act(copies, 0))
    assert "copy 0 at step 1: " in refusal.value.failure.message
    assert words in refusal.value.failure.message


@pytest.mark.parametrize("ends", ["None", "one"])
def test_ends_that_are_accepted(ends: str) -> None:
    copies = Copies(hello("Strange", ends=ends))
    copies.reset(0)
    assert copies.step(act(copies, 0)) == 0


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ("two", "terminated is an array of bool of shape (2,), want True or False"),
        ("text", "terminated is str 'False', want True or False"),
    ],
)
def test_ends_that_are_refused(ends: str, words: str) -> None:
    copies = Copies(hello("Strange", ends=ends))
    copies.reset(0)
    with pytest.raises(Refusal, match=re.escape(words)):
        copies.step(act(copies, 0))


def test_a_wrapper_that_unpacks_another_number_of_values() -> None:
    asked = hello("Strange", old="more")
    asked.max_episode_steps = 20
    copies = Copies(asked)
    copies.reset(0)
    with pytest.raises(Refusal, match="step must return \\(observation, reward"):
        copies.step(act(copies, 0))


@pytest.mark.parametrize("where", ["init", "reset", "step"])
@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("interrupt", "KeyboardInterrupt"),
        ("exit", "SystemExit: no licence"),
        ("base", "Odd: odd"),
        ("unprintable", "Unprintable: <exception str() failed>"),
        ("bytes", "ValueError: caf\\udce9 \\x1b[31m"),
        ("assert", "AssertionError"),
        ("long", "xxx…"),
    ],
)
def test_whatever_is_raised_is_reported_with_its_place(
    where: str, what: str, words: str
) -> None:
    def train() -> None:
        copies = Copies(hello("Rude", where=where, what=what))
        copies.reset(0)
        copies.step(act(copies, 0))

    with pytest.raises(Refusal) as refusal:
        train()
    message = refusal.value.failure.message
    assert f"{words} ({probe_envs.__file__}, line " in message


def test_closing_never_raises() -> None:
    Copies(hello("Rude", where="close", what="exit")).close()


def test_missing_spaces_are_named() -> None:
    with pytest.raises(Refusal, match="observation space is NoneType"):
        Copies(hello("Rude", where="spaces", what=""))


def test_bounds_whose_difference_overflows() -> None:
    copies = Copies(hello("Spaces", act="huge"))
    for action in (-1, 0, 1):
        assert (copies.actions(act(copies, action)) == action * 1.7e308).all()


@pytest.mark.parametrize(
    ("source", "name", "words"),
    [
        ("", "Mine", "importing fresh_0 registered none: call gymnasium.register"),
        (
            "import gymnasium\ngymnasium.register('zq/Qz-v0', entry_point='x:Y')",
            "Mine",
            "importing fresh_1 registered zq/Qz-v0",
        ),
        ("1/0", "Mine", "ZeroDivisionError: division by zero"),
        ("f(", "Mine", "SyntaxError: '(' was never closed (fresh_3.py, line 1)"),
    ],
)
def test_what_a_module_registers_is_said(
    source: str,
    name: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    module = f"fresh_{request.node.callspec.indices['source']}"
    (tmp_path / f"{module}.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(Refusal) as refusal:
        resolve(f"{module}:{name}")
    assert words in refusal.value.failure.message
    assert "is looked for" not in refusal.value.failure.message


@pytest.mark.parametrize("file", ["envs/mine.py", "./envs/mine", "../envs/mine.py"])
def test_a_file_is_no_module(file: str) -> None:
    with pytest.raises(Refusal, match=r"with dots and without \.py: envs\.mine"):
        resolve(f"{file}:Mine-v0")


@pytest.mark.parametrize("limit", [0, 20])  # a TimeLimit unpacks answers itself
@pytest.mark.parametrize("old", ["reset", "step", "seedless", "bare"])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_interface_of_old_gym_is_named(old: str, size: int, limit: int) -> None:
    asked = hello("Strange", old=old, size=size)
    asked.max_episode_steps = limit
    with pytest.raises(Refusal) as refusal:
        _play(asked)
    failure = refusal.value.failure
    assert failure.code == pb.Failure.SHAPE
    assert "the interface of Gym before 0.26" in failure.message
    assert "(observation, info)" in failure.message
    assert "\n" not in failure.message


def _play(asked: pb.Hello) -> None:
    copies = Copies(asked)
    copies.reset(0)
    copies.step(act(copies, 0))


@pytest.mark.parametrize(
    ("gives", "words"),
    [
        ("complex", "observation of complex64"),
        ("object", "observation of object"),
        ("none", "observation of shape () (None)"),
        ("dict", "(dict {"),
    ],
)
def test_observations_that_are_no_numbers(gives: str, words: str) -> None:
    copies = Copies(hello("Strange", gives=gives))
    copies.reset(0)
    with pytest.raises(Refusal) as refusal:
        copies.step(act(copies, 0))
    assert words in refusal.value.failure.message


@pytest.mark.parametrize("seed", [0, 2**31 - 1, 2**31, 2**32, 2**63 + 5, 2**64 - 1])
def test_seeds_fit_31_bits(seed: int) -> None:
    copies = Copies(hello("Strange", copies=2, seeds="31 bits"))
    copies.reset(seed)
    first = copies.result.obs.copy()
    copies.reset(seed)
    assert np.array_equal(first, copies.result.obs)
    assert first[0, 0] != first[1, 0]


def test_module_that_another_hides(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "test.py").write_text("raise SystemExit('never')")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refusal) as refusal:
        Copies(pb.Hello(env="test:mine/X-v0", copies=1))
    assert f"{tmp_path}/test.py was not imported" in refusal.value.failure.message


def test_environment_registered_with_gym(monkeypatch: pytest.MonkeyPatch) -> None:
    envs = SimpleNamespace(registry={"Mine-v0": None})
    monkeypatch.setitem(sys.modules, "gym", SimpleNamespace(envs=envs))
    with pytest.raises(Refusal, match="registered with gym"):
        Copies(pb.Hello(env="probe_envs:Mine-v0", copies=1))


def test_pace_of_pictures() -> None:
    for pace, want in (
        (30, 30.0),
        ("12.5", 12.5),
        (0, 0.0),
        (-3, 0.0),
        ("fast", 0.0),
        (None, 0.0),
        ("nan", 0.0),
        ("inf", 0.0),
    ):
        copies = Copies(hello("Strange", pace=pace))
        assert copies.welcome().render_fps == want, pace


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
