"""Pictures, and the words where there is no way to draw."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from stein_env import env_pb2 as pb
from stein_env import rendering
from stein_env.copies import Copies, Refusal
from stein_env.rendering import BACKENDS, choose_backend, draws


def test_mujoco_draws_or_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    copies = Copies(pb.Hello(env="Walker2d-v5", copies=1, render=True))
    copies.reset(0)
    if all(draws(backend) for backend in BACKENDS):
        with pytest.raises(Refusal, match="install libegl1"):
            copies.render(0)
    else:
        picture = copies.render(0)
        assert picture.shape == (480, 480, 3)
        assert picture.std() > 10
    copies.close()


@pytest.mark.parametrize("env", ["Walker2d-v5", "HalfCheetah-v5", "Hopper-v5"])
def test_the_camera_follows(env: str) -> None:
    copies = Copies(pb.Hello(env=env, copies=1, render=True))
    copies.reset(0)
    base: Any = copies.envs[0].unwrapped

    def bodily() -> int:  # pixels of the body, which alone is brown
        red, green = (copies.render(0)[..., i].astype(int) for i in (0, 1))
        return int(((red > green + 25) & (red > 60)).sum())

    near = bodily()
    base.set_state(base.data.qpos + np.eye(1, base.model.nq)[0] * 20, base.data.qvel)
    far = bodily()
    copies.close()
    assert near > 200
    assert far > 0.5 * near


def test_a_backend_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    why = draws("nonsense")
    assert why is not None
    assert "nonsense" in why
    monkeypatch.setenv("MUJOCO_GL", "nonsense")
    assert choose_backend() == (
        "MUJOCO_GL is nonsense: unset it to choose another one automatically"
    )


def test_the_chosen_backend_is_that_of_pyopengl_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setenv("PYOPENGL_PLATFORM", "nonsense")
    monkeypatch.setattr(rendering, "draws", lambda _backend: None)
    assert choose_backend() == ""
    assert os.environ["PYOPENGL_PLATFORM"] == os.environ["MUJOCO_GL"] == BACKENDS[0]
    monkeypatch.delenv("MUJOCO_GL")


def test_no_picture_of_what_was_not_made_for_it() -> None:
    copies = Copies(pb.Hello(env="Pendulum-v1", copies=1))
    with pytest.raises(Refusal, match="opened without render"):
        copies.render(0)
    with pytest.raises(Refusal, match="copy 1 of 1"):
        copies.render(1)
