"""Small environments that do one thing each, for the tests of both languages.

Importing this module registers them under the namespace ``probe``.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces


class Probe(gym.Env[Any, Any]):
    """Counts its steps: observation [episode, step, seed's first draw].

    ``at`` is the step of the first episode in which ``act`` happens; ``length``
    the step that ends an episode, in the way of ``end``.
    """

    def __init__(
        self,
        act: str = "",
        at: int = 3,
        length: int = 10,
        end: str = "terminated",
        only_in: str = "",
        render_mode: str | None = None,
    ) -> None:
        self.render_mode = render_mode
        self.observation_space = spaces.Box(-np.inf, np.inf, (3,), np.float64)
        self.action_space = spaces.Box(-1, 1, (2,), np.float32)
        self.act, self.at, self.length, self.end = act, at, length, end
        # A file that exists from the first time on: act once in all processes.
        self.only_in = only_in
        self.episode = 0
        self.n = 0
        self.draw = 0.0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.episode += 1
        self.n = 0
        self.draw = float(self.np_random.integers(1 << 20))
        if self.act == "raise in reset" and self.episode > 1:
            raise RuntimeError("reset is broken")
        return self._obs(), {}

    def _obs(self) -> Any:
        return np.array([self.episode, self.n, self.draw])

    def step(self, action: Any) -> Any:
        self.n += 1
        obs: Any = self._obs()
        reward: Any = float(action.sum())
        if self.n == self.at and self._now():
            obs, reward = self._misbehave(obs, reward)
        ended = self.n >= self.length
        return (
            obs,
            reward,
            ended and self.end in ("terminated", "both"),
            ended and self.end in ("truncated", "both"),
            {},
        )

    def _now(self) -> bool:
        if not self.only_in:
            return True
        try:
            os.close(os.open(self.only_in, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True

    def _misbehave(self, obs: Any, reward: Any) -> Any:
        if self.act == "raise":
            print("about to raise", file=sys.stderr)
            raise ValueError("the floor is lava")
        if self.act == "exit":
            sys.exit("bye")
        if self.act == "die":
            print("last words", file=sys.stderr, flush=True)
            os._exit(3)
        if self.act == "hang":
            print("hanging", file=sys.stderr, flush=True)
            time.sleep(3600)
        if self.act == "nan reward":
            reward = float("nan")
        if self.act == "text reward":
            reward = "much"
        if self.act == "inf observation":
            obs[1] = np.inf
        if self.act == "large observation":
            obs[1] = 1e300  # finite, but not as float32
        if self.act == "wrong shape":
            obs = obs[:1]
        return obs, reward


class Scaled(gym.Env[Any, Any]):
    """Echoes the action it got: a 2x2 Box of float64 with bounds of its own."""

    def __init__(self) -> None:
        self.action_space = spaces.Box(
            np.array([[-2.0, 0.0], [10.0, -1.0]]),
            np.array([[2.0, 1.0], [30.0, 1.0]]),
            dtype=np.float64,
        )
        self.observation_space = spaces.Box(-100, 100, (2, 2), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return np.zeros((2, 2), np.float32), {}

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action), action
        echo = action.astype(np.float32)
        action[:] = 0  # it is the environment's own
        return echo, 0.0, False, False, {}


class Spaces(gym.Env[Any, Any]):
    """Has the spaces that it is told to have."""

    SPACES: dict[str, spaces.Space[Any]] = {  # noqa: RUF012
        "box": spaces.Box(-1, 1, (2,), np.float32),
        "discrete": spaces.Discrete(3),
        "dict": spaces.Dict({"a": spaces.Box(-1, 1, (2,), np.float32)}),
        "pixels": spaces.Box(0, 255, (8, 8, 3), np.uint8),
        "unbounded": spaces.Box(-np.inf, np.inf, (2,), np.float32),
        "half": spaces.Box(0, np.inf, (2,), np.float32),
        "empty": spaces.Box(1, 1, (2,), np.float32),
        "none": spaces.Box(-1, 1, (0,), np.float32),
        "huge": spaces.Box(-1.7e308, 1.7e308, (2,), np.float64),
        "three": spaces.Box(-1, 1, (3,), np.float32),
    }

    def __init__(self, obs: str = "box", act: str = "box", gives: str = "") -> None:
        self.observation_space = self.SPACES[obs]
        self.action_space = self.SPACES[act]
        self.gives = self.SPACES[gives or obs]

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return self.gives.sample(), {}

    def step(self, action: Any) -> Any:
        return self.gives.sample(), 0.0, False, False, {}


class Careless(gym.Env[Any, Any]):
    """Breaks the rule that it is told to break, for the checker."""

    shared = 0.0

    def __init__(self, rule: str = "") -> None:
        self.rule = rule
        self.observation_space = spaces.Box(-np.inf, np.inf, (1,), np.float32)
        self.action_space = spaces.Box(-1, 1, (1,), np.float32)
        self.kept = 0.0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        if self.rule != "keeps state":
            self.kept = 0.0
        if self.rule != "shares state":
            Careless.shared = 0.0
        self.n = 0
        obs = np.array([self.np_random.random()], np.float32)
        return obs if self.rule == "old reset" else (obs, {})

    def step(self, action: Any) -> Any:
        self.n += 1
        self.kept += 1
        Careless.shared += 1
        value = self.np_random.random()
        reward: Any = 0.0
        ended: Any = self.n >= 20
        if self.rule == "global random":
            value = np.random.random()
        elif self.rule == "keeps state":
            value = self.kept
        elif self.rule in ("shares state", "shares within"):
            value = Careless.shared
        elif self.rule == "changes action":
            action *= 0.5
        elif self.rule == "nan":
            value = np.nan if self.n == 15 else value
        elif self.rule == "text reward":
            reward = "much"
        elif self.rule == "int end":
            ended = int(ended)
        dtype = np.float64 if self.rule == "dtype" else np.float32
        obs = np.array([value], dtype)
        if self.rule == "old step":
            return obs, reward, ended, {}
        return obs, reward, ended, False, {}


class Strange(gym.Env[Any, Any]):
    """Answers in ways that are found in environments of other people."""

    REWARDS: dict[str, Any] = {  # noqa: RUF012
        "float": 0.5,
        "float32": np.float32(0.5),
        "int": 3,
        "int8": np.int8(3),
        "bool": True,
        "npbool": np.bool_(True),
        "array0": np.array(0.5),
        "array1": np.array([0.5]),
        "list": [0.5],
        "decimal": Decimal("0.5"),
        "none": None,
        "two": np.array([0.5, 0.5]),
        "empty": np.array([]),
        "text": "0.5",
        "complex": 0.5 + 1j,
        "dict": {"goal": 1},
        "ragged": [1, [2, 3]],
        "large": 10**400,
    }

    ENDS: dict[str, Any] = {  # noqa: RUF012
        "None": None,
        "one": np.array([False]),
        "two": np.array([False, False]),
        "text": "False",
    }

    def __init__(
        self,
        reward: str = "float",
        old: str = "",
        size: int = 2,
        gives: str = "",
        seeds: str = "",
        pace: Any = 30,
        ends: str = "",
        talks: bool = False,
        loads: float = 0,
        render_mode: str | None = None,
    ) -> None:
        time.sleep(loads)
        self.reward = self.REWARDS[reward]
        self.ends = ends
        self.old, self.gives, self.seeds, self.talks = old, gives, seeds, talks
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": pace}
        self.render_mode = render_mode
        self.observation_space = spaces.Box(-1, 1, (size,), np.float32)
        self.action_space = spaces.Box(-1, 1, (1,), np.float32)
        if old == "seedless":
            self.reset = self._old_reset  # type: ignore[assignment,method-assign]

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        if self.seeds == "31 bits" and seed is not None:
            np.zeros(1, np.int32)[0] = seed
            np.random.RandomState(seed)
        if self.seeds == "16 bits" and seed is not None and seed >> 16:
            raise ValueError("seed of more than 16 bits")
        self.n = 0
        return self._obs() if self.old in ("reset", "bare") else (self._obs(), {})

    def _old_reset(self) -> Any:
        self.n = 0
        return self._obs()

    def _obs(self) -> Any:
        obs = self.np_random.random(self.observation_space.shape).astype(np.float32)
        if self.old == "bare":
            return tuple(obs.tolist())  # of two numbers it looks like (obs, info)
        return obs

    def step(self, action: Any) -> Any:
        self.n += 1
        if self.talks:
            sys.stdout.write("in the way ")
            os.write(1, b'{"check": ')
        obs = self._obs()
        if self.gives:
            obs = {
                "complex": obs + 1j,
                "object": obs.astype(object),
                "none": None,
                "dict": {"a": 1},
            }[self.gives]
        ended = self.n >= 10
        if self.old == "step":
            return obs, 1.0, ended, {}
        if self.old == "more":
            return obs, 1.0, False, ended, {}, "more"
        terminated = self.ENDS[self.ends] if self.ends else False
        return obs, self.reward, terminated, ended, {}


class Unprintable(Exception):  # noqa: N818
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Odd(BaseException):
    pass


class Rude(gym.Env[Any, Any]):
    """Raises or does something unusual in the method that it is told."""

    RAISES: dict[str, Callable[[], BaseException]] = {  # noqa: RUF012
        "interrupt": KeyboardInterrupt,
        "exit": lambda: SystemExit("no licence"),
        "base": lambda: Odd("odd"),
        "unprintable": Unprintable,
        "bytes": lambda: ValueError("caf\udce9 \x1b[31m"),
        "assert": AssertionError,
        "long": lambda: ValueError("x" * 10**6),
    }

    def __init__(self, where: str, what: str, render_mode: str | None = None) -> None:
        self.where, self.what, self.render_mode = where, what, render_mode
        self.do("init")
        if where == "spaces":
            return
        self.observation_space = spaces.Box(-1, 1, (2,), np.float32)
        self.action_space = spaces.Box(-1, 1, (1,), np.float32)

    def do(self, where: str) -> None:
        if self.where != where:
            return
        if self.what == "input":
            input("continue? ")
        if self.what == "sleep":
            time.sleep(3600)
        if self.what == "crash":
            ctypes.string_at(0)
        if self.what in self.RAISES:
            raise self.RAISES[self.what]()

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.do("reset")
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> Any:
        self.do("step")
        return np.zeros(2, np.float32), float(np.sign(action[0])), False, False, {}

    def render(self) -> Any:
        self.do("render")

    def close(self) -> None:
        self.do("close")


for name, entry in (
    ("Strange", Strange),
    ("Probe", Probe),
    ("Scaled", Scaled),
    ("Spaces", Spaces),
    ("Careless", Careless),
    ("Rude", Rude),
):
    if f"probe/{name}-v0" not in gym.registry:
        gym.register(id=f"probe/{name}-v0", entry_point=entry)  # type: ignore[arg-type]
