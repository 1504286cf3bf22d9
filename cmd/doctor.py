"""Reports as JSON which packages and features of Stein's simulators this interpreter has."""

import importlib
import importlib.metadata
import json
import os
import subprocess
import sys

PACKAGES = ["gymnasium", "mujoco", "numpy", "pyzmq", "protobuf"]
OPTIONAL = ["imageio", "imageio-ffmpeg"]
RENDER = """
import gymnasium
env = gymnasium.make("Walker2d-v5", render_mode="rgb_array")
env.reset(seed=0)
frame = env.render()
print(*frame.shape[:2][::-1], sep="x")
"""


def last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no message"


def versions() -> dict:
    out = {}
    for name in PACKAGES + OPTIONAL:
        try:
            out[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            out[name] = ""
    return out


def step() -> str:
    """Steps an environment; returns an error message, or "" if it works."""
    try:
        importlib.import_module("stein_env.worker")
        gymnasium = importlib.import_module("gymnasium")
        env = gymnasium.make("Walker2d-v5")
        env.reset(seed=0)
        env.step(env.action_space.sample())
        env.close()
    except Exception as e:
        return f"{type(e).__name__}: {e}"
    return ""


def render(gl: str) -> dict:
    try:
        done = subprocess.run(
            [sys.executable, "-c", RENDER],
            env=os.environ | {"MUJOCO_GL": gl, "PYOPENGL_PLATFORM": gl},
            capture_output=True, text=True, timeout=60, check=False,
        )
    except subprocess.TimeoutExpired:
        return {"gl": gl, "error": "no frame within a minute"}
    if done.returncode:
        return {"gl": gl, "error": last_line(done.stderr)}
    return {"gl": gl, "size": done.stdout.strip()}


def ffmpeg() -> str:
    try:
        return importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe()
    except Exception:
        return ""


report = {
    "python": ".".join(map(str, sys.version_info[:3])),
    "executable": sys.executable,
    "packages": versions(),
    "step_error": step(),
    "rendering": [],
    "ffmpeg": ffmpeg(),
}
if not report["step_error"]:
    for gl in ("egl", "osmesa"):
        report["rendering"].append(render(gl))
        if "size" in report["rendering"][-1]:
            break
json.dump(report, sys.stdout)
