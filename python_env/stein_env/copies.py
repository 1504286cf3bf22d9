"""n copies of one Gymnasium environment, stepped in place.

The reset at the end of an episode happens here, in the step that ended it, so
that a reset never looks like a transition of the task (Gymnasium's own
vector environments reset in the step after by default).
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import importlib.metadata
import json
import os
import platform
import re
import sys
import traceback
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

import stein_env
from stein_env import answers, here, rendering
from stein_env import env_pb2 as pb
from stein_env.wire import (
    F4,
    HEADER_BYTES,
    MAX_FRAME_BYTES,
    TERMINATED,
    TRUNCATED,
    Layout,
    Result,
)

MAX_COPIES = 1024
MAX_SEED = 2**31 - 1
TRACEBACK_CHARS = 4000


class Refusal(Exception):  # noqa: N818
    """A request that cannot be met; the client receives it as a Failure."""

    def __init__(self, code: pb.Failure.Code, message: str, **more: Any) -> None:
        super().__init__(message)
        more["message"] = message
        texts = {k: _plain(v) for k, v in more.items() if isinstance(v, str)}
        self.failure = pb.Failure(code=code, **(more | texts))


def _plain(text: str) -> str:
    """Escape what does not belong in a message: control characters, lone surrogates."""
    text = re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", lambda c: repr(c[0])[1:-1], text)
    return text.encode("utf-8", "backslashreplace").decode()


class Copies:
    """The environments of one session, and their result frames."""

    def __init__(self, hello: pb.Hello) -> None:
        """Make the environments.

        Raises:
            Refusal: no such environment, or spaces that don't fit.
        """
        n = hello.copies
        if not 1 <= n <= MAX_COPIES:
            raise Refusal(
                pb.Failure.REQUEST, f"{n} copies requested, want 1 to {MAX_COPIES}"
            )
        self.id = hello.env
        self.envs: list[gym.Env[Any, Any]] = []
        # Advice if rendering fails; None before the first frame.
        self._advice: str | None = None
        try:
            self.steps = 0
            self._guard(0, None, lambda: self._make(hello))
        except BaseException:
            self.close()
            raise

    def _make(self, hello: pb.Hello) -> None:
        for _ in range(hello.copies):
            self.envs.append(make(hello))
        first = self.envs[0]
        self.obs_space = _float_box(first, "observation", self.id)
        self.act_space = _float_box(first, "action", self.id)
        self.layout = Layout(
            len(self.envs),
            int(np.prod(self.obs_space.shape, dtype=np.int64)),
            int(np.prod(self.act_space.shape, dtype=np.int64)),
        )
        self._check_layout()
        self._scale_actions()
        self.max_steps = _time_limit(first)
        self.result = Result(self.layout)
        # Bound methods, looked up once instead of at every step.
        self._step: list[Callable[[Any], Any]] = [env.step for env in self.envs]
        self._reset: list[Callable[..., Any]] = [env.reset for env in self.envs]
        self._obs_dtype = self.obs_space.dtype
        # Reset once, so that errors appear at the handshake.
        self._reset_into(self.result.obs[0], 0)

    def _check_layout(self) -> None:
        layout = self.layout
        if layout.obs_dim < 1 or layout.act_dim < 1:
            raise Refusal(
                pb.Failure.SPACE,
                f"{self.id}: observation {self.obs_space.shape} or action"
                f" {self.act_space.shape} has no numbers",
            )
        largest = max(layout.result_bytes + layout.obs_bytes, layout.action_bytes)
        if HEADER_BYTES + largest > MAX_FRAME_BYTES:
            raise Refusal(
                pb.Failure.REQUEST,
                f"{self.id}: {layout.copies} copies need messages of {largest} bytes,"
                f" the limit is {MAX_FRAME_BYTES}: use fewer copies per worker",
            )

    def _scale_actions(self) -> None:
        """Prepare low + (a+1)/2·(high−low), done in float64."""
        low = self.act_space.low.astype(np.float64).reshape(-1)
        high = self.act_space.high.astype(np.float64).reshape(-1)
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            raise Refusal(
                pb.Failure.SPACE,
                f"{self.id}: actions without bounds ({self.act_space}): policies act in"
                " [-1, 1], which needs finite low and high to be scaled to; wrap the"
                " environment so that its action space is bounded",
            )
        if not (low < high).all():
            raise Refusal(
                pb.Failure.SPACE,
                f"{self.id}: action bounds are empty: {self.act_space}",
            )
        self._low, self._high = low, high
        self._half = high / 2 - low / 2  # high - low can overflow
        self._middle = low + self._half
        self._identity = (
            bool((low == -1).all() and (high == 1).all())
            and self.act_space.dtype == np.float32
        )
        self._act_shape = (len(self.envs), *self.act_space.shape)

    def actions(self, message: bytes) -> npt.NDArray[Any]:
        """Return the environment's own actions [n, *shape] for those of a STEP.

        The array is new each time, because an environment may keep its action.
        """
        n = self.layout.copies
        wire = np.frombuffer(message, F4, n * self.layout.act_dim, HEADER_BYTES)
        if self._identity:
            return wire.reshape(self._act_shape).copy()
        wide = wire.reshape(n, -1).astype(np.float64) * self._half + self._middle
        np.clip(wide, self._low, self._high, out=wide)
        return wide.astype(self.act_space.dtype).reshape(self._act_shape)

    def reset(self, seed: int) -> None:
        """Start an episode in every copy; seed+i seeds copy i and its action space.

        Only the lowest 31 bits are used: generators in C, and NumPy's old ones, take
        no more.
        """
        for i, env in enumerate(self.envs):
            of_copy = (seed + i) & MAX_SEED
            self._guard(
                i,
                None,
                lambda i=i, s=of_copy: self._reset_into(  # type: ignore[misc]
                    self.result.obs[i], i, seed=s
                ),
            )
            env.action_space.seed(of_copy)

    def _reset_into(self, row: npt.NDArray[np.float32], i: int, **seed: int) -> None:
        self._put(row, answers.first_observation(self._reset[i](**seed)))

    def step(self, message: bytes) -> int:
        """Step every copy by the actions of a STEP message, filling ``result``.

        Returns:
            How many copies ended, and so how many rows of ``result.final`` hold
            the last observation of an episode.

        Raises:
            Refusal: an environment raised.
        """
        act = self.actions(message)
        result = self.result
        obs_rows, reward, ends = result.obs, result.reward, result.ends
        shape, dtype = self.obs_space.shape, self._obs_dtype
        one_axis = len(shape) == 1
        numbers, bools = answers.NUMBERS, answers.BOOLS
        ended = 0
        self.steps += 1
        i = 0
        try:
            for i, step in enumerate(self._step):
                answer = step(act[i])
                try:
                    obs, r, terminated, truncated, _ = answer
                except (TypeError, ValueError):
                    raise answers.step_of_another_kind(answer) from None
                if r.__class__ not in numbers:
                    r = answers.reward(r)
                reward[i] = r
                if terminated.__class__ not in bools:
                    terminated = answers.ended("terminated", terminated)
                if truncated.__class__ not in bools:
                    truncated = answers.ended("truncated", truncated)
                if terminated or truncated:
                    # If both are set, the value beyond is zero: terminated.
                    ends[i] = TERMINATED if terminated else TRUNCATED
                    self._put(result.final[ended], obs)
                    ended += 1
                    self._reset_into(obs_rows[i], i)
                    continue
                ends[i] = 0
                if (
                    one_axis
                    and obs.__class__ is np.ndarray
                    and obs.shape == shape
                    and obs.dtype is dtype
                ):
                    obs_rows[i] = obs
                else:
                    self._put(obs_rows[i], obs)
        except Refusal:
            raise
        except answers.UnfitError as e:
            raise self._unfit(f"copy {i} at step {self.steps}: {e}") from e
        except BaseException as e:  # signals don't raise here
            raise self._raised(i, act[i], e) from e
        return ended

    def _put(self, row: npt.NDArray[np.float32], obs: Any) -> None:
        """Write an observation to its row after checking its shape."""
        row[:] = answers.numbers_of(obs, self.obs_space.shape)

    def _guard(
        self, copy: int, action: npt.NDArray[Any] | None, call: Callable[[], Any]
    ) -> Any:
        try:
            return call()
        except Refusal:
            raise
        except answers.UnfitError as e:
            raise self._unfit(str(e)) from e
        except BaseException as e:
            raise self._raised(copy, action, e) from e

    def _unfit(self, why: str) -> Refusal:
        return Refusal(pb.Failure.SHAPE, f"{self.id}: {why}")

    def _raised(
        self, copy: int, action: npt.NDArray[Any] | None, e: BaseException
    ) -> Refusal:
        """Convert an environment's exception to a Failure with all details."""
        if hint := answers.older_interface(e):
            return self._unfit(f"{answers.described(e).splitlines()[-1]}: {hint}")
        text = answers.described_with_place(e)
        tail = "".join(traceback.format_exception(e))[-TRACEBACK_CHARS:]
        return Refusal(
            pb.Failure.RAISED,
            f"{self.id}: environment raised {text}",
            exception=text,
            traceback=tail,
            copy=copy,
            step=self.steps,
            action=[] if action is None else action.reshape(-1).tolist(),
        )

    def render(self, copy: int) -> npt.NDArray[np.uint8]:
        """Return an RGB frame [height, width, 3] of one copy."""
        if copy >= len(self.envs):
            raise Refusal(
                pb.Failure.REQUEST, f"render of copy {copy} of {len(self.envs)}"
            )
        if self.envs[copy].render_mode != "rgb_array":
            raise Refusal(
                pb.Failure.RENDER, f"{self.id}: the session was opened without render"
            )
        if self._advice is None:
            uses_gl = "mujoco" in sys.modules
            self._advice = rendering.choose_backend() if uses_gl else ""
        try:
            given = self.envs[copy].render()
            picture = np.asarray(given)
        except BaseException as e:
            advice = f" ({self._advice})" if self._advice else ""
            text = answers.described_with_place(e)
            raise Refusal(
                pb.Failure.RENDER,
                f"{self.id}: rendering failed: {text}{advice}",
                traceback=traceback.format_exc()[-TRACEBACK_CHARS:],
            ) from e
        if (
            picture.ndim != 3
            or picture.shape[2] not in (3, 4)
            or picture.dtype != np.uint8
            or picture.size == 0
        ):
            raise Refusal(
                pb.Failure.RENDER,
                f"{self.id}: render returned {answers.about(given)}, want an array of"
                " uint8 of shape (height, width, 3)",
            )
        return np.ascontiguousarray(picture[:, :, :3])  # drop an alpha channel

    def welcome(self) -> pb.Welcome:
        """Describe the session."""
        return pb.Welcome(
            env=self.id,
            copies=len(self.envs),
            obs_shape=self.obs_space.shape,
            act_shape=self.act_space.shape,
            obs_dtype=str(self.obs_space.dtype),
            act_dtype=str(self.act_space.dtype),
            act_low=self._low.tolist(),
            act_high=self._high.tolist(),
            max_steps=self.max_steps,
            versions=versions(),
            pid=os.getpid(),
            render_fps=rendering.frames_per_second(self.envs[0]),
        )

    def close(self) -> None:
        """Close every environment; an exception in one does not stop the others."""
        for env in self.envs:
            if e := close(env):
                traceback.print_exception(e)
        self.envs = []


def close(env: gym.Env[Any, Any]) -> BaseException | None:
    """Close an environment, and return what that raised."""
    try:
        env.close()
    except BaseException as e:
        return e
    return None


def make(hello: pb.Hello) -> gym.Env[Any, Any]:
    """Make one environment.

    Raises:
        Refusal: the id is unknown, its module cannot be imported, or its
            constructor raised.
    """
    kwargs = _kwargs(hello)
    if hello.max_episode_steps:
        kwargs["max_episode_steps"] = hello.max_episode_steps
    if hello.render:
        kwargs["render_mode"] = "rgb_array"
    unusable = "" if hello.render else rendering.switch_off_unusable()
    resolve(hello.env)
    gl = os.environ.get("MUJOCO_GL") or unusable
    try:
        # Gymnasium's checker checks only the first step, and slows down every step.
        env = gym.make(hello.env, disable_env_checker=True, **kwargs)
    except BaseException as e:
        hint = f" (MUJOCO_GL is {gl}: does that work here?)" if gl else ""
        raise Refusal(
            pb.Failure.RAISED,
            f"{hello.env}: can't be made:"
            f" {_short(answers.described_with_place(e), 2000)}{hint}",
            traceback=traceback.format_exc()[-TRACEBACK_CHARS:],
        ) from e
    if hello.render:
        rendering.follow(env)
    return env


def resolve(env_id: str) -> None:
    """Import the module of a ``module:id`` and check that the id is registered.

    Raises:
        Refusal: UNKNOWN_ENV, with the nearest registered ids.
    """
    module, colon, name = env_id.rpartition(":")
    fresh = colon and module not in sys.modules
    before = set(gym.registry)
    if colon:
        _import(env_id, module)
    if name in gym.registry:
        return
    hint = ""
    if file := here.hidden(module):
        hint = (
            f"; {file} was not imported: another module {module!r} takes precedence,"
            " rename it"
        )
    elif answers.in_old_registry(name):
        hint = (
            "; it is registered with gym; it needs its successor Gymnasium:"
            " import gymnasium instead"
        )
    elif fresh and not (new := set(gym.registry) - before):
        hint = (
            f"; importing {module} registered none: call gymnasium.register(id=...,"
            " entry_point=...) in it"
        )
    elif near := nearest(name):
        hint = f"; did you mean {' or '.join(near)}?"
    elif fresh:
        more = ", …" if len(new) > 5 else ""
        hint = f"; importing {module} registered {', '.join(sorted(new)[:5])}{more}"
    elif not colon:
        hint = "; use module:id for a custom environment"
    raise Refusal(pb.Failure.UNKNOWN_ENV, f"{env_id}: no such environment{hint}")


def _import(env_id: str, module: str) -> None:
    try:
        importlib.import_module(module)
    except BaseException as e:
        dotted = module.removesuffix(".py").strip("./").replace("/", ".")
        where = ""
        if dotted != module and dotted:
            where = f"; a module is named with dots and without .py: {dotted}"
        elif isinstance(e, ModuleNotFoundError):
            where = (
                f" (it is looked for in the working directory {os.getcwd()},"
                " PYTHONPATH and the packages of this Python)"
            )
        raise Refusal(
            pb.Failure.UNKNOWN_ENV,
            f"{env_id}: cannot import module {module!r}:"
            f" {answers.described_with_place(e)}{where}",
            traceback=traceback.format_exc()[-TRACEBACK_CHARS:],
        ) from e


def nearest(name: str) -> list[str]:
    """Return up to three registered ids that look like name, nearest first."""
    folded = {known.casefold(): known for known in gym.registry}
    wanted = name.casefold()
    near = difflib.get_close_matches(wanted, folded, n=3, cutoff=0.6)
    likeness = [difflib.SequenceMatcher(None, f, wanted).ratio() for f in near]
    # Sharing only a namespace is no match if a better one exists.
    return [
        folded[f] for f, r in zip(near, likeness, strict=True) if r > likeness[0] - 0.1
    ]


def versions() -> dict[str, str]:
    """Return the versions that affect the result of a step."""
    found = {
        "python": platform.python_version(),
        "gymnasium": gym.__version__,
        "numpy": np.__version__,
        "stein_env": stein_env.__version__,
    }
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        found["mujoco"] = importlib.metadata.version("mujoco")
    return found


def _kwargs(hello: pb.Hello) -> dict[str, Any]:
    if not hello.kwargs_json:
        return {}
    try:
        kwargs = json.loads(hello.kwargs_json)
    except ValueError as e:
        raise Refusal(pb.Failure.REQUEST, f"{hello.env}: keyword arguments: {e}") from e
    if not isinstance(kwargs, dict):
        raise Refusal(
            pb.Failure.REQUEST, f"{hello.env}: keyword arguments are not a JSON object"
        )
    return kwargs


def _float_box(env: gym.Env[Any, Any], what: str, env_id: str) -> spaces.Box:
    space = getattr(env, f"{what}_space", None)
    if not isinstance(space, spaces.Box):
        raise Refusal(
            pb.Failure.SPACE,
            f"{env_id}: {what} space is {type(space).__name__} ({_short(space)}), only"
            f" Box of float32 or float64 can be used here{_advice(space, what)}",
        )
    if space.dtype not in (np.float32, np.float64):
        raise Refusal(
            pb.Failure.SPACE,
            f"{env_id}: {what} space holds {space.dtype}, only float32 and float64 can"
            f" be used here; {_conversion(what)}",
        )
    return space


def _advice(space: Any, what: str) -> str:
    if type(space).__module__.partition(".")[0] == "gym":
        return "; it is from gym: use gymnasium.spaces instead"
    if not isinstance(space, spaces.Space):
        return "; it is not a Gymnasium space: set it in the environment's __init__"
    if what == "action":
        return "; only continuous actions are supported"
    if space.is_np_flattenable:
        return "; gymnasium.wrappers.FlattenObservation converts it to a Box"
    return ""


def _conversion(what: str) -> str:
    if what == "action":
        return "declare it as float32 and round in the environment's step"
    return "gymnasium.wrappers.DtypeObservation(env, np.float32) converts it"


def _short(value: Any, chars: int = 120) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= chars else text[: chars - 1] + "…"


def _time_limit(env: gym.Env[Any, Any]) -> int:
    spec = env.spec
    return int(spec.max_episode_steps or 0) if spec is not None else 0
