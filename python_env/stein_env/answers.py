"""Checks what an environment's reset and step return.

Gymnasium wants ``(observation, info)`` and ``(observation, reward, terminated,
truncated, info)``; Gym before 0.26 returned other tuples.
"""

from __future__ import annotations

import numbers
import os
import re
import sys
import sysconfig
import traceback
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

WANT_RESET = "(observation, info)"
WANT_STEP = "(observation, reward, terminated, truncated, info)"
MIGRATE = (
    "it has the interface of Gym before 0.26; in Gymnasium reset(seed=None,"
    f" options=None) returns {WANT_RESET} and step returns {WANT_STEP}"
)

NUMBERS = frozenset({float, bool, np.float64, np.float32})
"""Types of rewards that are accepted without a check."""

BOOLS = frozenset({bool, np.bool_})
"""Types of terminated and truncated that are accepted without a check."""

TEXT_CHARS = 1000

_INSTALLED = (
    os.path.dirname(__file__),
    *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib")),
)


class UnfitError(Exception):
    """A return value that cannot be used; the message describes it."""


def first_observation(answer: Any) -> Any:
    """Return the observation of what reset returned.

    Raises:
        UnfitError: the value is not (observation, info).
    """
    if isinstance(answer, tuple) and len(answer) == 2:
        obs, info = answer
        if info is None or isinstance(info, dict) or hasattr(info, "keys"):
            return obs
    raise UnfitError(f"reset returned {about(answer)}, want {WANT_RESET}: {MIGRATE}")


def step_of_another_kind(answer: Any) -> UnfitError:
    """Return the error for what step returned instead of five values."""
    if isinstance(answer, tuple):
        text = f"step returned {len(answer)} values, want {WANT_STEP}"
        if len(answer) == 4:
            text += f": {MIGRATE}"
        return UnfitError(text)
    return UnfitError(f"step returned {about(answer)}, want {WANT_STEP}")


def older_interface(e: BaseException) -> str:
    """Return a hint if an exception comes from an older interface, or ""."""
    text = described(e)
    if isinstance(e, ValueError) and re.search(r"values to unpack.*5, got 4", text):
        return MIGRATE  # by a wrapper of Gymnasium's
    frames = traceback.extract_tb(e.__traceback__)
    if "unpack" in text and frames and frames[-1].filename.startswith(_GYMNASIUM):
        return f"step must return {WANT_STEP}"
    if isinstance(e, TypeError) and re.search(
        r"reset\(\) got an unexpected keyword argument '(seed|options)'", text
    ):
        return MIGRATE
    return ""


_GYMNASIUM = os.path.dirname(gym.__file__) + os.sep


def described(e: BaseException) -> str:
    """Return an exception's type and text, even if the text cannot be computed."""
    if isinstance(e, SyntaxError):  # without the lines of the file
        return f"{type(e).__name__}: {e}"
    text = "".join(traceback.format_exception_only(e)).strip()
    return text if len(text) <= TEXT_CHARS else text[:TEXT_CHARS] + "…"


def described_with_place(e: BaseException) -> str:
    """Return an exception's type and text, and the line of the user's code."""
    text = described(e)
    if isinstance(e, SyntaxError):
        return text
    for frame in reversed(traceback.extract_tb(e.__traceback__)):
        if not frame.filename.startswith((*_INSTALLED, "<")):
            return f"{text} ({frame.filename}, line {frame.lineno})"
    return text


def in_old_registry(name: str) -> bool:
    """Return whether gym, the predecessor of Gymnasium, has an id registered."""
    envs = getattr(sys.modules.get("gym"), "envs", None)
    registry = getattr(envs, "registry", None)
    known = getattr(registry, "env_specs", registry)
    try:
        return known is not None and name in known
    except TypeError:
        return False


def reward(value: Any) -> float:
    """Return a reward as a float; an array with one number is accepted.

    Raises:
        UnfitError: the value is not one real number.
    """
    if isinstance(value, (numbers.Real, np.bool_)) or type(value).__name__ == "Decimal":
        try:
            return float(value)
        except (OverflowError, ValueError) as e:
            raise UnfitError(f"the reward is {about(value)}: {e}") from e
    number = _single(value)
    if number is not None:
        return float(number)
    raise UnfitError(f"the reward is {about(value)}, want one number")


def ended(name: str, value: Any) -> bool:
    """Return terminated or truncated as a bool; None and one number are accepted.

    Raises:
        UnfitError: the value is something else.
    """
    if value is None:
        return False
    number = _single(value)
    if number is not None:
        return bool(number)
    raise UnfitError(f"{name} is {about(value)}, want True or False")


def _single(value: Any) -> Any:
    """Return the number of an array-like of one number; None for anything else."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):
        return None
    if array.size == 1 and array.dtype.kind in "fiub":
        return array.reshape(-1)[0]
    return None


def numbers_of(obs: Any, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return an observation as a flat array.

    Raises:
        UnfitError: the shape differs, or a value is not a real number.
    """
    try:
        array = np.asarray(obs)
    except (TypeError, ValueError, RuntimeError) as e:
        raise UnfitError(f"the observation is {about(obs)}: {e}") from e
    if array.shape != shape:
        what = "" if isinstance(obs, np.ndarray) else f" ({about(obs)})"
        raise UnfitError(
            f"observation of shape {array.shape}{what}, its observation space says"
            f" {shape}"
        )
    if array.dtype.kind not in "fiub":
        raise UnfitError(
            f"observation of {array.dtype} ({about(obs)}), want real numbers"
        )
    return array.reshape(-1)


def about(value: Any) -> str:
    """Describe a value in a few words."""
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} of shape {value.shape}"
    if value is None:
        return "None"
    try:
        text = " ".join(repr(value).split())
    except Exception:
        text = "(its repr fails)"  # such as a very large int
    return f"{type(value).__name__} {text[:60]}{'…' if len(text) > 60 else ''}"
