"""The multi-goal plane: rewards by hand, goals, walls, limits."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import stein_env  # noqa: F401  registers stein/*
from stein_env.multigoal import MultiGoal


def make(name: str = "MultiGoal", **kwargs: Any) -> gym.Env[Any, Any]:
    return gym.make(f"stein/{name}-v0", **kwargs)


def walk(env: gym.Env[Any, Any], *actions: tuple[float, float]) -> Any:
    """Return what the last action answers."""
    env.reset(seed=0)
    answer: Any = None
    for action in actions:
        answer = env.step(np.array(action, np.float32))
    return answer


def test_reward_is_of_the_new_position() -> None:
    obs, reward, terminated, truncated, info = walk(make(), (0.5, 0.25))
    assert obs.tolist() == [0.5, 0.25]
    # 30·(0.25 + 0.0625) and the squared distance to (5, 0)
    assert reward == -30 * 0.3125 - (4.5**2 + 0.25**2)
    assert (terminated, truncated) == (False, False)
    assert info == {"goal": -1, "hit_wall": False}


@pytest.mark.parametrize(
    ("name", "actions", "goal", "at"),
    [
        ("MultiGoal", [(1, 0)] * 5, 0, (5, 0)),
        ("MultiGoal", [(-0.8, 0.6)] * 5, 1, (-4, 3)),
        ("MultiGoal", [(-0.8, -0.6)] * 5, 2, (-4, -3)),
        ("MultiGoal4", [(-1, 0)] * 5, 1, (-5, 0)),
        ("MultiGoal4", [(0, 1)] * 5, 2, (0, 5)),
        ("MultiGoal4", [(0, -1)] * 5, 3, (0, -5)),
    ],
)
def test_goals_end_the_episode(
    name: str, actions: list[tuple[float, float]], goal: int, at: tuple[float, float]
) -> None:
    obs, reward, terminated, _, info = walk(make(name), *actions)
    assert obs == pytest.approx(at, abs=1e-5)
    assert terminated
    assert info["goal"] == goal
    assert reward == pytest.approx(10 - 30 * np.square(actions[0]).sum(), abs=1e-4)


def test_half_a_unit_is_near_enough() -> None:
    *_, terminated, _, _ = walk(make(), *[(1, 0)] * 4, (0.5, 0))
    assert terminated
    *_, terminated, _, _ = walk(make(), *[(1, 0)] * 4, (0.49, 0))
    assert not terminated


def test_time_and_arena_are_limited() -> None:
    obs, _, terminated, truncated, _ = walk(make(), *[(0, 1)] * 30)
    assert obs.tolist() == [0, 7]
    assert (terminated, truncated) == (False, True)
    obs, *_ = walk(make(), (5, -3))  # clipped to (1, -1)
    assert obs.tolist() == [1, -1]


def test_walls_cancel_the_move_and_its_cost_is_paid() -> None:
    env = make("MultiGoalWalls")  # (-2, 0) to (0, 2): x = y - 2
    obs, reward, _, _, info = walk(env, (-0.9, 0.9), (-0.5, 0.5))
    assert obs == pytest.approx([-0.9, 0.9])
    assert info["hit_wall"]
    near = (-4 + 0.9) ** 2 + (3 - 0.9) ** 2
    assert reward == pytest.approx(-30 * 0.5 - near, abs=1e-4)
    # Beside its end there is a way.
    obs, _, _, _, info = walk(env, (0.1, 1), (0, 1), (-1, 0.5))
    assert obs == pytest.approx([-0.9, 2.5])
    assert not info["hit_wall"]
    # Without walls the move is made.
    obs, _, _, _, info = walk(make(), (-0.9, 0.9), (-0.5, 0.5))
    assert obs == pytest.approx([-1.4, 1.4])


def test_no_walk_gets_through_a_wall() -> None:
    env = MultiGoal(walls=[[[-3, -3], [3, -3]], [[3, -3], [3, 3]], [[3, 3], [-3, 3]],
                           [[-3, 3], [-3, -3]]])  # fmt: skip
    rng = np.random.default_rng(0)
    env.reset(seed=0)
    hits = 0
    for _ in range(5000):
        obs, _, _, _, info = env.step(rng.uniform(-1, 1, 2).astype(np.float32))
        assert np.abs(obs).max() < 3
        hits += info["hit_wall"]
    assert hits > 100


def test_second_wall_and_settings() -> None:
    env = MultiGoal("four", walls=True)
    assert env.walls.tolist() == [[[-1.5, 3], [1.5, 3]]]
    with pytest.raises(ValueError, match="layout 'five'"):
        MultiGoal("five")
    with pytest.raises(ValueError, match="render_mode"):
        MultiGoal(render_mode="human")
    with pytest.raises(ValueError, match="segments"):
        MultiGoal(walls=[[[0.0, 1.0]]])


def test_gymnasium_has_no_complaint() -> None:
    check_env(make().unwrapped, skip_render_check=True)


def test_picture() -> None:
    env = MultiGoal(walls=True, render_mode="rgb_array")
    env.reset(seed=0)
    env.step(np.array([0.5, -1], np.float32))
    picture = env.render()
    assert picture is not None
    assert picture.shape == (280, 280, 3)
    # goal (5, 0) right of the middle, wall above and left, the point below
    assert picture[140, 240].tolist() == [120, 200, 120]
    assert picture[120, 120].tolist() == [0, 0, 0]
    assert picture[159, 149].tolist() == [220, 60, 60]
