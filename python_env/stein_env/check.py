"""``python -m stein_env.check ID``: checks an environment.

``stein env check`` runs this, then steps the environment through the bridge.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TextIO

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from stein_env import answers, here
from stein_env import env_pb2 as pb
from stein_env.copies import MAX_SEED, Copies, Refusal, close, make
from stein_env.patience import Late, within

STEPS = 1000
# Time limit of one check, for environments too slow to run all its steps.
PATIENCE_SECONDS = 15.0
SPEED_SECONDS = 1.0
# As long as training waits by default for a step (env.timeout).
STEP_SECONDS = 60.0
# Simulators may take minutes to load.
START_SECONDS = 300.0

State = Literal["ok", "warn", "FAIL"]
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    check: str
    state: State
    detail: str


class Wrong(Exception):  # noqa: N818
    """A check that failed, and what to do about it."""


def ok(check: str, detail: str) -> Finding:
    return Finding(check, "ok", detail)


def warn(check: str, detail: str) -> Finding:
    return Finding(check, "warn", detail)


def check(hello: pb.Hello) -> Iterator[Finding]:
    """Run all checks; after one that others depend on failed, skip those."""
    checks: list[tuple[str, Check]] = [
        ("spaces", _spaces),
        ("answers", _answers),
        ("seeding", _seeding),
        ("copies", _independence),
        ("ends", _ends),
        ("actions", _actions),
        ("speed", _speed),
    ]
    if hello.render:
        checks.append(("render", _render))
    for name, run in checks:
        try:
            with within(math.inf, f"the check of {name}"):
                findings = _guarded(name, lambda run=run: list(run(hello)))  # type: ignore[misc]
        except Late as e:  # so would every other check
            yield Finding(name, "FAIL", str(e))
            return
        yield from findings
        if name == "spaces" and findings[-1].state == "FAIL":
            return


Check = Callable[[pb.Hello], Iterator[Finding]]


def _guarded(name: str, run: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return run()
    except Late:
        raise
    except Wrong as e:
        return [Finding(name, "FAIL", str(e))]
    except Refusal as e:
        detail = e.failure.message
        if e.failure.traceback:
            detail += "\n" + e.failure.traceback.rstrip()
        return [Finding(name, "FAIL", detail)]
    except answers.UnfitError as e:
        return [Finding(name, "FAIL", str(e))]
    except BaseException as e:
        hint = answers.older_interface(e)
        text = answers.described_with_place(e)
        return [Finding(name, "FAIL", f"raised {text}" + (f": {hint}" if hint else ""))]


@contextlib.contextmanager
def _made(hello: pb.Hello) -> Iterator[gym.Env[Any, Any]]:
    """Make an environment and close it, whatever closing raises."""
    env = make(hello)
    try:
        yield env
    finally:
        close(env)


def _spaces(hello: pb.Hello) -> Iterator[Finding]:
    """Describe the environment as in a worker's handshake."""
    with within(START_SECONDS, "making and resetting it"):
        copies = Copies(hello)
    w = copies.welcome()
    yield ok(
        "spaces",
        f"observation {copies.obs_space}; action {copies.act_space}, scaled from"
        " [-1, 1]",
    )
    if w.max_steps:
        yield ok("limit", f"episodes of {w.max_steps} steps at most")
    else:
        yield warn(
            "limit",
            "no time limit: an episode may never end; register the environment"
            " with max_episode_steps, or set env.max_steps when training",
        )
    with within(STEP_SECONDS, "close"):
        raised = [e for env in copies.envs if (e := close(env))]
    for e in raised:
        yield warn("close", f"raised {answers.described_with_place(e)}")


def _answers(hello: pb.Hello) -> Iterator[Finding]:
    """Check what reset and step return: number, types, shapes, finite values."""
    with _made(hello) as env:
        steps, outside, unusual = _look_at_answers(env)
    yield ok("answers", f"{steps} steps: types, shapes and dtypes fit, all finite")
    if unusual:
        yield warn("reward", f"{unusual}: taken as a number; return float(reward)")
    if outside:
        yield warn(
            "bounds", f"{outside} of {steps} observations lie outside of their space"
        )


def _look_at_answers(env: gym.Env[Any, Any]) -> tuple[int, int, str]:
    """Return the number of steps, observations outside the space, and odd rewards."""
    with within(STEP_SECONDS, "reset"):
        answer: Any = env.reset(seed=0)
    _look_at_obs(env, answers.first_observation(answer), "reset")
    n = outside = 0
    unusual = ""
    for n, action in _until_patience_ends(_random_actions(env, STEPS)):
        where = f"step {n} with action {action.tolist()}"
        with within(STEP_SECONDS, where):
            answer = env.step(action)
        if not (isinstance(answer, tuple) and len(answer) == 5):
            raise answers.step_of_another_kind(answer)
        obs, reward, terminated, truncated, info = answer
        _look_at_obs(env, obs, where)
        outside += not env.observation_space.contains(obs)
        try:
            value = answers.reward(reward)
        except answers.UnfitError as e:
            raise Wrong(f"{where}: {e}") from e
        if not np.isfinite(value):
            raise Wrong(f"{where}: reward is {value}")
        if not isinstance(reward, (int, float, np.floating, np.integer)):
            unusual = f"the reward is {answers.about(reward)}"
        for name, end in (("terminated", terminated), ("truncated", truncated)):
            if not isinstance(end, (bool, np.bool_)):
                raise Wrong(f"{where}: {name} is {_short(end)}, want a bool")
        if not isinstance(info, dict):
            raise Wrong(f"{where}: info is {_short(info)}, want a dict")
        if terminated or truncated:
            with within(STEP_SECONDS, "reset"):
                answer = env.reset()
            _look_at_obs(env, answers.first_observation(answer), "reset")
    return n, outside, unusual


def _look_at_obs(env: gym.Env[Any, Any], obs: Any, where: str) -> None:
    space = env.observation_space
    if not isinstance(obs, np.ndarray):
        raise Wrong(f"{where}: observation {_short(obs)}, want a NumPy array")
    if obs.shape != space.shape:
        raise Wrong(
            f"{where}: observation of shape {obs.shape}, the space says {space.shape}"
        )
    if obs.dtype != space.dtype:
        raise Wrong(
            f"{where}: observation of {obs.dtype}, the space says {space.dtype}; return"
            f" obs.astype(np.{space.dtype}) or change the space"
        )
    if not np.isfinite(obs).all():
        i = int(np.flatnonzero(~np.isfinite(obs.reshape(-1)))[0])
        raise Wrong(f"{where}: observation[{i}] is {obs.reshape(-1)[i]}")


def _seeding(hello: pb.Hello) -> Iterator[Finding]:
    """Check that a seed determines an episode and the samples of the action space."""
    first, again, other = (_trace(hello, seed) for seed in (7, 7, 8))
    if (at := _parting(first, again)) is not None:
        raise Wrong(
            f"two runs with seed 7 and the same actions differ at step {at}: all"
            " randomness must come from self.np_random, which"
            " super().reset(seed=seed) seeds"
        )
    with _made(hello) as env:
        _trace(hello, 9, env)
        third = _trace(hello, 7, env)
    if (at := _parting(first, third)) is not None:
        raise Wrong(
            f"the same environment, reset again with seed 7, differs at step {at}:"
            " it keeps state from earlier episodes"
        )
    draws = []
    for _ in range(2):
        with _made(hello) as env:
            env.action_space.seed(7)
            draws.append([env.action_space.sample() for _ in range(5)])
    if not np.array_equal(draws[0], draws[1]):
        raise Wrong("action_space.seed(7) does not determine action_space.sample()")
    _large_seed(hello)
    if _parting(first, other) is None:
        yield warn("seeding", "reproducible; but every seed gives the same episode")
    else:
        yield ok("seeding", "seeds determine episodes and samples of the action space")


def _large_seed(hello: pb.Hello) -> None:
    """Check that the largest seed used by training is accepted."""
    with _made(hello) as env:
        for seed in (0, MAX_SEED):
            try:
                env.reset(seed=seed)
            except Exception as e:
                raise Wrong(
                    f"reset(seed={seed}) raised {answers.described_with_place(e)};"
                    f" training uses seeds from 0 to {MAX_SEED}"
                ) from e


def _independence(hello: pb.Hello) -> Iterator[Finding]:
    """Check that copies in one process are independent."""
    alone = _trace(hello, 7)
    envs = [make(hello), make(hello)]
    try:
        envs[0].reset(seed=7)
        envs[1].reset(seed=8)
        trace = [envs[0].reset(seed=7)[0]]
        for action in _random_actions(envs[0], TRACE):
            obs, reward, terminated, truncated, _ = envs[0].step(action.copy())
            ended = envs[1].step(action.copy())
            trace.append(np.append(np.asarray(obs).reshape(-1), answers.reward(reward)))
            if terminated or truncated:
                trace.append(envs[0].reset()[0])
            if ended[2] or ended[3]:
                envs[1].reset()
    finally:
        for env in envs:
            close(env)
    if (at := _parting(alone, trace)) is not None:
        raise Wrong(
            f"with a second copy beside it, an episode differs at step {at}: the copies"
            " share something, such as a class attribute"
        )
    yield ok("copies", "two copies in one process are independent")


TRACE = 200


def _trace(
    hello: pb.Hello, seed: int, env: gym.Env[Any, Any] | None = None
) -> list[Array]:
    """Return the results of 200 steps after reset(seed)."""
    own = env is None
    env = env or make(hello)
    try:
        trace = [np.array(env.reset(seed=seed)[0])]
        for action in _random_actions(env, TRACE):
            obs, reward, terminated, truncated, _ = env.step(action)
            trace.append(np.append(np.asarray(obs).reshape(-1), answers.reward(reward)))
            if terminated or truncated:
                trace.append(np.array(env.reset()[0]))
        return trace
    finally:
        if own:
            close(env)


def _parting(a: list[Array], b: list[Array]) -> int | None:
    """Return the first step at which two traces differ."""
    for n, (x, y) in enumerate(zip(a, b, strict=False)):
        if not np.array_equal(x, y):
            return n
    return None if len(a) == len(b) else min(len(a), len(b))


def _ends(hello: pb.Hello) -> Iterator[Finding]:
    """Check that episodes end, and count how."""
    env = make(hello)
    limit = env.spec.max_episode_steps if env.spec else None
    ends = {"terminated": 0, "truncated": 0, "both": 0}
    longest = length = 0
    try:
        env.reset(seed=1)
        actions = _random_actions(env, max(2 * (limit or 0), 2 * STEPS))
        for _, action in _until_patience_ends(actions):
            _, _, terminated, truncated, _ = env.step(action)
            length += 1
            if limit and length > limit:
                raise Wrong(f"an episode has more than its limit of {limit} steps")
            if terminated or truncated:
                both = terminated and truncated
                ends[
                    "both" if both else "terminated" if terminated else "truncated"
                ] += 1
                longest, length = max(longest, length), 0
                env.reset()
    finally:
        close(env)
    said = ", ".join(f"{n} {how}" for how, n in ends.items() if n)
    if not said:
        yield warn("ends", f"no episode ended within {length} random steps")
        return
    note = ""
    if ends["both"]:
        note = "; both at once counts as terminated: the value beyond is zero"
    yield ok("ends", f"{said} under random actions, longest {longest}{note}")


def _actions(hello: pb.Hello) -> Iterator[Finding]:
    """Check the corners of the action space, and that step does not modify actions."""
    env = make(hello)
    space = env.action_space
    assert isinstance(space, gym.spaces.Box)
    try:
        env.reset(seed=2)
        for corner in (space.low, space.high):
            for n in range(100):
                action = corner.copy()
                obs, reward, terminated, truncated, _ = env.step(action)
                if not (np.isfinite(obs).all() and np.isfinite(answers.reward(reward))):
                    raise Wrong(
                        f"not finite after {n + 1} steps with action {corner.tolist()},"
                        " a corner of the action space"
                    )
                if not np.array_equal(action, corner):
                    raise Wrong("step modifies its action array")
                if terminated or truncated:
                    env.reset()
    finally:
        close(env)
    yield ok("actions", "both corners of the action space are safe")


def _speed(hello: pb.Hello) -> Iterator[Finding]:
    """Measure steps per second without the bridge."""
    env = make(hello)
    actions = _random_actions(env, 1000)
    env.reset(seed=3)
    n, resets, in_reset = 0, 0, 0.0
    start = time.perf_counter()
    while (took := time.perf_counter() - start) < SPEED_SECONDS:
        _, _, terminated, truncated, _ = env.step(actions[n % len(actions)])
        n += 1
        if terminated or truncated:
            before = time.perf_counter()
            env.reset()
            in_reset += time.perf_counter() - before
            resets += 1
    close(env)
    detail = f"{n / took:.0f} steps/s in Python"
    if resets:
        detail += f", {1e3 * in_reset / resets:.2f} ms a reset"
    if n / took < 100:
        yield warn("speed", detail + ": use several workers")
    else:
        yield ok("speed", detail)


def _render(hello: pb.Hello) -> Iterator[Finding]:
    copies = Copies(hello)
    try:
        copies.reset(0)
        height, width, _ = copies.render(0).shape
    finally:
        copies.close()
    yield ok("render", f"{width}x{height} pixels")


def _random_actions(env: gym.Env[Any, Any], count: int) -> Array:
    """Return uniform actions of the environment's own dtype, the same every time."""
    space = env.action_space
    assert isinstance(space, gym.spaces.Box)
    draws = np.random.default_rng(11).random((count, *space.shape))
    low, high = space.low.astype(np.float64), space.high.astype(np.float64)
    return (low + draws * (high - low)).astype(space.dtype)


def _until_patience_ends(actions: Array) -> Iterator[tuple[int, Array]]:
    """Enumerate actions from 1 until they or the time run out."""
    end = time.monotonic() + PATIENCE_SECONDS
    for n, action in enumerate(actions, start=1):
        yield n, action
        if time.monotonic() > end:
            return


def _short(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text[:60]}{'…' if len(text) > 60 else ''}"


def main(argv: Sequence[str] | None = None) -> int:
    """Print the findings; return 1 when one of them is a failure."""
    parser = argparse.ArgumentParser(prog="stein_env.check", description=__doc__)
    parser.add_argument("env", help="Gymnasium id, or module:id")
    parser.add_argument("--kwargs", default="", help="of gymnasium.make, as JSON")
    parser.add_argument("--render", action="store_true", help="also render a frame")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    args = parser.parse_args(argv)
    hello = pb.Hello(
        env=args.env, copies=1, kwargs_json=args.kwargs, render=args.render
    )
    here.see_working_directory()
    faulthandler.enable(all_threads=False)  # says where a crash in C happened
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # KeyboardInterrupt: the environment's
    failed = False
    with _own_output() as out:
        for finding in check(hello):
            failed |= finding.state == "FAIL"
            line = f"{finding.state:4}  {finding.check:8}  {finding.detail}"
            if args.json:
                line = json.dumps(asdict(finding))
            try:
                print(line, file=out, flush=True)
            except BrokenPipeError:
                os._exit(1)  # nobody reads the rest
    return int(failed)


@contextlib.contextmanager
def _own_output() -> Iterator[TextIO]:
    """Return standard output, and redirect what others print to standard error.

    An environment may print, even from C code, and without line ends.
    """
    sys.stdout.flush()
    ours = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="backslashreplace")
    with ours:
        os.dup2(2, 1)
        try:
            yield ours
        finally:
            sys.stdout.flush()
            os.dup2(ours.fileno(), 1)


if __name__ == "__main__":
    sys.exit(main())
