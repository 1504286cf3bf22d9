"""Pictures without a screen: which OpenGL there is for MuJoCo."""

from __future__ import annotations

import os
import subprocess
import sys

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
