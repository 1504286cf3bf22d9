"""Pictures without a screen: which OpenGL there is for MuJoCo."""

from __future__ import annotations

import os
import subprocess
import sys

# What is tried when MUJOCO_GL says nothing, and the Debian package of each.
BACKENDS = {"egl": "libegl1", "osmesa": "libosmesa6"}

_PROBE = (
    "import mujoco; c = mujoco.GLContext(64, 64); c.make_current();"
    " m = mujoco.MjModel.from_xml_string("
    "'<mujoco><worldbody><geom size=\"1\"/></worldbody></mujoco>');"
    " r = mujoco.Renderer(m, 64, 64); r.update_scene(mujoco.MjData(m));"
    " print(r.render().shape)"
)


def choose_backend() -> str | None:
    """Set MUJOCO_GL to the first backend that draws, unless it is set.

    Each is tried in a process of its own, because a failed OpenGL context can end
    the process, and because MuJoCo binds to one for good.

    Returns:
        The backend, or None where none works: rendering a MuJoCo environment then
        fails, others don't care.
    """
    if backend := os.environ.get("MUJOCO_GL"):
        return backend
    for backend in BACKENDS:
        if draws(backend) is None:
            os.environ["MUJOCO_GL"] = backend
            os.environ["PYOPENGL_PLATFORM"] = backend
            return backend
    return None


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
