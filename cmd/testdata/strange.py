"""An environment as other people write them, for the tests of this folder's parent."""

import os
import sys

import gymnasium as gym
import numpy as np
from gymnasium import spaces

print("simulator loaded")


class Strange(gym.Env):
    """Counts in a file how often it is made; ends after a number of steps, or never."""

    def __init__(self, level, *, made="", length=0, render_mode=None):
        if made:
            with open(made, "a") as f:
                f.write(f"{render_mode}\n")
        self.length, self.render_mode = length, render_mode
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": 10 * level}
        self.observation_space = spaces.Box(-1, 1, (2,), np.float32)
        self.action_space = spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        np.random.RandomState(seed)  # takes 32 bits
        self.n = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.n += 1
        sys.stdout.write(".")
        os.write(1, b'{"x": ')
        ended = self.n == self.length
        return np.full(2, 0.1, np.float32), np.array([1.0]), ended, False, {}

    def render(self):
        print("rendering")
        return np.full((33, 48, 3), self.n % 250, np.uint8)


gym.register("strange/Strange-v0", Strange)
