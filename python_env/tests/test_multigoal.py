"""The multi-goal plane, as Gymnasium makes it and by its own arithmetic."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import stein_env  # noqa: F401  (registers the plane)

IDS = [
    f"stein/{name}-v0"
    for name in ("MultiGoal", "MultiGoalWalls", "MultiGoal4", "MultiGoal4Walls")
]


@pytest.mark.parametrize("env_id", IDS)
def test_meets_gymnasium(env_id: str) -> None:
    """Gymnasium's own checker finds nothing."""
    check_env(gym.make(env_id).unwrapped, skip_render_check=True)


def test_reward_and_goal() -> None:
    """Five unit moves to the right reach the goal at (5, 0), and pay as written."""
    env = gym.make("stein/MultiGoal-v0")
    env.reset(seed=0)
    for step in range(1, 6):
        obs, reward, terminated, truncated, info = env.step(
            np.array([1.0, 0.0], np.float32)
        )
        bonus = 10.0 if step == 5 else 0.0
        nearest = min((step - 5.0) ** 2, (step + 4.0) ** 2 + 9.0)
        assert reward == pytest.approx(-30.0 - nearest + bonus)
        assert terminated == (step == 5)
        assert not truncated
    assert obs.tolist() == [5.0, 0.0]
    assert info["goal"] == 0


def test_time_limit_truncates() -> None:
    """Standing still ends after 30 steps, and not as a failure."""
    env = gym.make("stein/MultiGoal-v0")
    env.reset(seed=0)
    ends = [env.step(np.zeros(2, np.float32))[2:4] for _ in range(30)]
    assert ends == [(False, False)] * 29 + [(False, True)]


def test_wall_cancels_the_move() -> None:
    """A move across the wall from (-2, 0) to (0, 2) leaves the point and costs."""
    env = gym.make("stein/MultiGoalWalls-v0")
    env.reset(seed=0)
    env.step(np.array([-0.9, 0.0], np.float32))
    before, *_ = env.step(np.array([0.0, 0.9], np.float32))
    after, reward, _, _, info = env.step(np.array([-0.5, 0.9], np.float32))
    assert info["hit_wall"]
    assert after.tolist() == before.tolist()
    assert float(reward) < -30.0
