"""An environment for tests that goes wrong after a number of steps."""

import os
import time
from pathlib import Path

import gymnasium
import numpy as np


class Faulty(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, mode="fine", after=60, until="", render_mode=None):
        self.mode, self.left, self.until = mode, after, until

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._obs(), {}

    def step(self, action):
        self.left -= 1
        reward = 1.0
        if self.left < 0 and self.mode == "raise":
            raise ValueError("the leg came off")
        if self.left < 0 and self.mode == "exit":
            os._exit(0)
        if self.left < 0 and self.mode == "nan":
            reward = float("nan")
        if self.left < 0 and self.mode == "wait":  # until that file exists
            Path(self.until + ".waiting").touch()
            while not Path(self.until).exists():
                time.sleep(0.01)
        return self._obs(), reward, False, self.np_random.random() < 0.05, {}

    def _obs(self):
        return self.np_random.uniform(-1, 1, 2).astype(np.float32)


gymnasium.register("Faulty-v0", entry_point=Faulty)
