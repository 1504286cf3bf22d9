"""Headless rendering: chooses an OpenGL backend for MuJoCo."""

from __future__ import annotations

import ctypes.util
import math
import os
import subprocess
import sys
from typing import Any

# Backends to try without MUJOCO_GL. EGL is faster, especially on a GPU.
BACKENDS = ("egl", "osmesa")

_PROBE = (
    "import mujoco; c = mujoco.GLContext(64, 64); c.make_current();"
    " m = mujoco.MjModel.from_xml_string("
    "'<mujoco><worldbody><geom size=\"1\"/></worldbody></mujoco>');"
    " r = mujoco.Renderer(m, 64, 64); r.update_scene(mujoco.MjData(m));"
    " print(r.render().shape)"
)


def choose_backend() -> str:
    """Set MUJOCO_GL to the first backend that works, unless it is set.

    Each is tried in a separate process, because a failed OpenGL context can end
    the process. That takes a second or more, so it is done only if MuJoCo is used,
    just before the first frame.

    Returns:
        Advice if no backend works, else an empty string.
    """
    if backend := os.environ.get("MUJOCO_GL"):
        return f"MUJOCO_GL is {backend}: unset it to choose another one automatically"
    why = {}
    for backend in BACKENDS:
        failure = draws(backend)
        if failure is None:
            os.environ["MUJOCO_GL"] = os.environ["PYOPENGL_PLATFORM"] = backend
            return ""
        why[backend] = failure
    tried = "; ".join(f"{backend}: {failure}" for backend, failure in why.items())
    return (
        f"no OpenGL without a screen here ({tried}): install libegl1 with"
        " libegl-mesa0, or libosmesa6"
    )


def draws(backend: str) -> str | None:
    """Try a backend; return None if it works, else the last line of the error."""
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
    """Return an environment's frame rate, 0 if it is missing or invalid."""
    try:
        metadata = getattr(env, "metadata", None) or {}
        pace = float(metadata.get("render_fps") or 0)
    except (AttributeError, TypeError, ValueError):
        return 0.0
    return pace if math.isfinite(pace) and pace > 0 else 0.0


def follow(env: Any) -> None:
    """Let the camera follow what a MuJoCo environment moves.

    Gymnasium 1.4 uses a free camera, which stays where it is, even if the environment
    names a body to track or its model has a camera "track": whatever walks leaves the
    picture. A camera that the caller chose is kept.
    """
    base = getattr(env, "unwrapped", env)
    renderer = getattr(base, "mujoco_renderer", None)
    chosen = (getattr(base, "camera_id", None), getattr(base, "camera_name", None))
    if renderer is None or chosen != (None, None):
        return
    import mujoco  # late: other simulators do without it

    config = getattr(renderer, "default_cam_config", None) or {}
    if "trackbodyid" in config:
        tracking = mujoco.mjtCamera.mjCAMERA_TRACKING.value
        renderer.default_cam_config = {"type": tracking, **config}
        renderer.camera_id = None  # -1 would be the free camera
        return
    camera = mujoco.mj_name2id(base.model, mujoco.mjtObj.mjOBJ_CAMERA, "track")
    if camera >= 0:
        renderer.camera_id = camera


def switch_off_unusable() -> str:
    """Unset MUJOCO_GL if it selects an OpenGL that cannot be loaded.

    MuJoCo loads it on import, even without rendering, and fails. Call
    this before the import, and only without rendering.

    Returns:
        The unusable value of MUJOCO_GL, else an empty string.
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
        f"stein_env: MUJOCO_GL is {asked}, which does not work here; without rendering,"
        " MuJoCo is loaded without it",
        file=sys.stderr,
        flush=True,
    )
    return asked
