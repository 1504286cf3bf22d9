"""Writes python.safetensors with the safetensors package: python write.py."""

import numpy as np
from safetensors.numpy import save_file

save_file(
    {
        "/net/weights": np.array([[1.5, -2.0, 3.25], [np.pi, 0.0, -0.0]], np.float32),
        "/net/bias": np.array([1e-300, np.inf], np.float64),
        "/half": np.array([0.5, -65504], np.float16),
        "/count": np.array(2**62 + 1, np.int64),
        "/#rngState": np.array([2**64 - 1, 2**63 + 1, 7], np.uint64),
        "/mask": np.array([True, False, True]),
        "/bytes": np.array([[0], [255]], np.uint8),
        "/empty": np.zeros((0, 4), np.float32),
    },
    "python.safetensors",
)
