"""Pictures without a screen: which OpenGL there is for MuJoCo."""

from __future__ import annotations

import ctypes.util
import math
import os
import subprocess
import sys
from typing import Any

# What is tried when MUJOCO_GL says nothing. EGL draws faster, on a GPU by far.
BACKENDS = ("egl", "osmesa")

_PROBE = (
    "import mujoco; c = mujoco.GLContext(64, 64); c.make_current();"
    " m = mujoco.MjModel.from_xml_string("
    "'<mujoco><worldbody><geom size=\"1\"/></worldbody></mujoco>');"
    " r = mujoco.Renderer(m, 64, 64); r.update_scene(mujoco.MjData(m));"
    " print(r.render().shape)"
)


def choose_backend() -> str:
    """Set MUJOCO_GL to the first backend that draws, unless it is set.

    Each is tried in a process of its own, because a failed OpenGL context can end
    the process. That takes a second or more: only worth it where MuJoCo is in use,
    and it is early enough before the first picture.

    Returns:
        What to do about it where none draws, else an empty string.
    """
    if backend := os.environ.get("MUJOCO_GL"):
        return f"MUJOCO_GL is {backend}: unset it to have another one chosen"
    why = {}
    for backend in BACKENDS:
        failure = draws(backend)
        if failure is None:
            os.environ["MUJOCO_GL"] = backend
            return ""
        why[backend] = failure
    tried = "; ".join(f"{backend}: {failure}" for backend, failure in why.items())
    return (
        f"no OpenGL without a screen here ({tried}): install libegl1 with"
        " libegl-mesa0, or libosmesa6"
    )


def draws(backend: str) -> str | None:
    """Try a backend; return None when it draws, else the last line of why not."""
    env = {**os.environ, "MUJOCO_GL": backend, "PYOPENGL_PLATFORM": backend}
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE],
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "no answer within 60 s"
    if done.returncode == 0:
        return None
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"exit status {done.returncode}"


def frames_per_second(env: Any) -> float:
    """Return the pace of an environment's pictures, 0 where it gives no usable one."""
    try:
        metadata = getattr(env, "metadata", None) or {}
        pace = float(metadata.get("render_fps") or 0)
    except (AttributeError, TypeError, ValueError):
        return 0.0
    return pace if math.isfinite(pace) and pace > 0 else 0.0


def switch_off_unusable() -> str:
    """Take MUJOCO_GL back where it names an OpenGL that can't be loaded here.

    MuJoCo loads it when it is imported, even where nothing is drawn, and fails. Call
    it before that, and only where nothing will be drawn.

    Returns:
        What MUJOCO_GL was where it was unusable, else an empty string.
    """
    asked = os.environ.get("MUJOCO_GL", "")
    name = asked.lower().strip()
    if not name or "mujoco" in sys.modules or sys.platform != "linux":
        return ""
    if name in ("disable", "disabled", "off", "false", "0"):
        return ""
    library = {"egl": "EGL", "osmesa": "OSMesa"}.get(name)
    platform = os.environ.get("PYOPENGL_PLATFORM", "").lower()
    usable = name in ("enable", "enabled", "on", "true", "1", "glfw", "glx")
    if library:
        usable = platform in ("", name) and bool(ctypes.util.find_library(library))
    if usable:
        return ""
    os.environ["MUJOCO_GL"] = "disable"
    print(
        f"stein_env: MUJOCO_GL is {asked}, which can't draw here; nothing is to be"
        " drawn, so MuJoCo is loaded without it",
        file=sys.stderr,
        flush=True,
    )
    return asked
