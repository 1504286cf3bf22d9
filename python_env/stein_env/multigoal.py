"""The multi-goal environment: a point in the plane moves to one of several goals.

It shows within minutes whether a policy is multimodal: the best
action at the start is a mixture with one mode per goal.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

Point = tuple[float, float]

ARENA = 7.0
REACH = 0.5
BONUS = 10.0
ACTION_COST = 30.0
STEPS = 30

# layout -> (goals, wall used in tests)
LAYOUTS: dict[str, tuple[tuple[Point, ...], tuple[Point, Point]]] = {
    "three": (((5.0, 0.0), (-4.0, 3.0), (-4.0, -3.0)), ((-2.0, 0.0), (0.0, 2.0))),
    "four": (
        ((5.0, 0.0), (-5.0, 0.0), (0.0, 5.0), (0.0, -5.0)),
        ((-1.5, 3.0), (1.5, 3.0)),
    ),
}

Array = npt.NDArray[np.float64]


class MultiGoal(gym.Env[npt.NDArray[np.float32], npt.NDArray[np.float32]]):
    """A point on a plane of ±7, moved by a velocity in [-1, 1]².

    The new position p pays −30·‖a‖² − min over goals of ‖p − goal‖²; within 0.5 of
    a goal it earns 10 and the episode terminates. Every episode starts at (0, 0)
    and nothing is random. ``info`` has ``goal`` (index reached, or −1) and
    ``hit_wall``.

    Args:
        layout: ``three``: goals (5,0), (−4,3), (−4,−3). ``four``: (±5,0), (0,±5).
        walls: ``True`` adds the wall of the layout (from (−2,0) to (0,2), or from
            (−1.5,3) to (1.5,3)); a list of segments adds those. A move that
            crosses a wall is cancelled, but its cost is paid. For tests of a
            policy that was trained without walls.
        render_mode: ``rgb_array`` or None.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(
        self,
        layout: str = "three",
        walls: bool | list[list[list[float]]] = False,
        render_mode: str | None = None,
    ) -> None:
        if layout not in LAYOUTS:
            raise ValueError(f"MultiGoal: layout {layout!r}, want one of {[*LAYOUTS]}")
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"MultiGoal: render_mode {render_mode!r}, want rgb_array")
        goals, wall = LAYOUTS[layout]
        self.goals: Array = np.array(goals)
        if walls is True:
            self.walls: Array = np.array([wall])
        elif walls is False:
            self.walls = np.zeros((0, 2, 2))
        else:
            self.walls = np.array(walls, dtype=np.float64)
            if self.walls.shape != (len(walls), 2, 2):
                raise ValueError("MultiGoal: walls are segments [[x, y], [x, y]]")
        self.render_mode = render_mode
        self.observation_space = spaces.Box(-ARENA, ARENA, (2,), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
        self._at: Array = np.zeros(2)
        self._trail: list[Array] = [self._at]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        """Put the point at (0, 0)."""
        super().reset(seed=seed)
        self._at = np.zeros(2)
        self._trail = [self._at]
        return self._at.astype(np.float32), {"goal": -1, "hit_wall": False}

    def step(
        self, action: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Move by the action, unless a wall blocks the move."""
        a = np.clip(np.asarray(action, dtype=np.float64), -1.0, 1.0)
        to = np.clip(self._at + a, -ARENA, ARENA)
        hit = any(_crosses(self._at, to, wall) for wall in self.walls)
        if not hit:
            self._at = to
        self._trail.append(self._at)

        squared = ((self.goals - self._at) ** 2).sum(axis=1)
        nearest = int(squared.argmin())
        reached = bool(squared[nearest] <= REACH * REACH)
        reward = -ACTION_COST * float(a @ a) - float(squared[nearest])
        if reached:
            reward += BONUS
        info = {"goal": nearest if reached else -1, "hit_wall": hit}
        return self._at.astype(np.float32), reward, reached, False, info

    def render(self) -> npt.NDArray[np.uint8] | None:
        """Draw the plane, 280×280: goals green, walls black, the trail blue."""
        if self.render_mode != "rgb_array":
            return None
        size = 280
        picture = np.full((size, size, 3), 255, dtype=np.uint8)
        axis = (np.arange(size) + 0.5) / size * 2 * ARENA - ARENA
        grid = np.stack(np.meshgrid(axis, -axis), axis=-1)  # [y, x, 2]

        def paint(near: npt.NDArray[np.bool_], colour: tuple[int, int, int]) -> None:
            picture[near] = colour

        for goal in self.goals:
            paint(((grid - goal) ** 2).sum(axis=-1) <= REACH**2, (120, 200, 120))
        for wall in self.walls:
            paint(_distance(grid, wall[0], wall[1]) < 0.08, (0, 0, 0))
        for a, b in zip(self._trail, self._trail[1:], strict=False):
            paint(_distance(grid, a, b) < 0.04, (60, 90, 220))
        paint(((grid - self._at) ** 2).sum(axis=-1) <= 0.15**2, (220, 60, 60))
        return picture


def _cross(o: Array, a: Array, b: Array) -> float:
    """Return twice the signed area of the triangle o, a, b."""
    return float((a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0]))


def _crosses(start: Array, end: Array, wall: Array) -> bool:
    """Return whether a move meets a wall, including its ends.

    A move along the wall's line does not cross it.
    """
    side_start = _cross(wall[0], wall[1], start)
    side_end = _cross(wall[0], wall[1], end)
    if side_start == 0 and side_end == 0:
        return False
    tips = _cross(start, end, wall[0]) * _cross(start, end, wall[1])
    return side_start * side_end <= 0 and tips <= 0


def _distance(grid: Array, a: Array, b: Array) -> Array:
    """Return the distance of every grid point to the segment a, b."""
    along = b - a
    length = float(along @ along)
    share = np.clip(((grid - a) @ along) / length, 0, 1) if length else np.zeros(1)
    nearest = a + share[..., None] * along
    return np.asarray(np.sqrt(((grid - nearest) ** 2).sum(axis=-1)))


def register() -> None:
    """Register stein/MultiGoal-v0 and its three relatives with Gymnasium."""
    for name, kwargs in (
        ("MultiGoal", {}),
        ("MultiGoalWalls", {"walls": True}),
        ("MultiGoal4", {"layout": "four"}),
        ("MultiGoal4Walls", {"layout": "four", "walls": True}),
    ):
        gym.register(
            id=f"stein/{name}-v0",
            entry_point="stein_env.multigoal:MultiGoal",
            max_episode_steps=STEPS,
            kwargs=kwargs,
        )
