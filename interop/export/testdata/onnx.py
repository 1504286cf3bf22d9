"""Runs an exported policy in onnxruntime: what it answers beside what Stein does.

    python onnx.py MODEL.onnx < QUESTIONS.json

The questions are observations with Stein's best actions, and with actions that it
drew and their log-probabilities. Which noise gives a drawn action is found by
Newton's method on the model itself.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import onnxruntime

asked = {name: np.array(x, np.float32) for name, x in json.load(sys.stdin).items()}
policy = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
# Next to ±1 tanh leaves nothing of what it was given.
inside = (np.abs(asked["drawn"]) < 0.999).all(axis=1)
assert inside.sum() >= 10, f"{inside.sum()} rows whose draws are inside"
asked = {name: x[inside] for name, x in asked.items()}
observations = asked["observations"]


def run(noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    feed = {"observation": observations, "noise": noise.astype(np.float32)}
    action, log_prob, _, _ = policy.run(None, feed)
    return np.arctanh(action.astype(np.float64)), log_prob


best, _, mean, log_std = policy.run(
    None, {"observation": observations, "noise": np.zeros_like(asked["best"])}
)
target = np.arctanh(asked["drawn"].astype(np.float64))
noise = (target - mean) / np.exp(log_std)
step = 1e-2
for _ in range(30):
    at, log_prob = run(noise)
    jacobian = np.stack(
        [
            (run(noise + step * unit)[0] - run(noise - step * unit)[0]) / (2 * step)
            for unit in np.eye(noise.shape[1])
        ],
        axis=-1,
    )
    noise -= np.linalg.solve(jacobian, (at - target)[..., None])[..., 0]
at, log_prob = run(noise)
print(
    json.dumps(
        {
            "best": float(np.abs(best - asked["best"]).max()),
            "drawn": float(np.abs(np.tanh(at) - asked["drawn"]).max()),
            "log_prob": float(np.abs(log_prob - asked["log_prob"]).max()),
        }
    )
)
