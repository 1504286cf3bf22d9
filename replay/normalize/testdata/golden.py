"""Writes golden.json with Stable-Baselines3's VecNormalize as the reference:
three environments, 50 steps with ends, then 10 without learning. The numbers are
float32 in float64 arrays, so that its sums are not rounded to float32."""

import json

import gymnasium as gym
import numpy as np
from stable_baselines3.common.vec_env import VecNormalize
from stable_baselines3.common.vec_env.base_vec_env import VecEnv

N, DIM, GAMMA = 3, 2, 0.97
rng = np.random.default_rng(7)


class Script(VecEnv):
    """Answers numbers made up beforehand: large means, one constant dimension."""

    def __init__(self):
        space = gym.spaces.Box(-np.inf, np.inf, (DIM,), np.float32)
        super().__init__(N, space, gym.spaces.Box(-1, 1, (1,), np.float32))
        self.obs = rng.normal([1000, -2], [3, 0.1], (61, N, DIM)).astype(np.float32)
        self.obs[10, 0] = [2000, 5]
        self.obs[55, 1] = [9e5, -90]  # clipped
        self.rewards = rng.normal(1, 5, (60, N)).astype(np.float32)
        self.rewards[20, 1] = 900
        self.rewards[55, 2] = -9e4  # clipped
        self.dones = rng.random((60, N)) < 0.1
        self.obs, self.rewards = self.obs.astype(float), self.rewards.astype(float)
        self.t = 0

    def reset(self):
        return self.obs[0]

    def step_async(self, actions):
        pass

    def step_wait(self):
        self.t += 1
        infos = [{"terminal_observation": self.obs[self.t][i]} for i in range(N)]
        return self.obs[self.t], self.rewards[self.t - 1], self.dones[self.t - 1], infos

    def close(self):
        pass

    def get_attr(self, name, indices=None):
        return [None] * N

    def set_attr(self, *args):
        pass

    def env_method(self, *args):
        pass

    def env_is_wrapped(self, *args):
        return [False] * N


env = Script()
norm = VecNormalize(env, gamma=GAMMA)
out = {
    "gamma": GAMMA,
    "obs": [env.obs[0].tolist()],
    "norm_obs": [norm.reset().tolist()],
}
out |= {"rewards": [], "dones": [], "norm_rewards": []}
for t in range(60):
    norm.training = t < 50
    obs, reward, done, _ = norm.step(np.zeros((N, 1)))
    out["obs"].append(env.obs[t + 1].tolist())
    out["norm_obs"].append(obs.tolist())
    out["rewards"].append(env.rewards[t].tolist())
    out["dones"].append(done.tolist())
    out["norm_rewards"].append(reward.tolist())
for name, rms in (("obs", norm.obs_rms), ("reward", norm.ret_rms)):
    out[name + "_mean"], out[name + "_var"], out[name + "_count"] = (
        np.atleast_1d(rms.mean).tolist(),
        np.atleast_1d(rms.var).tolist(),
        float(rms.count),
    )
with open("golden.json", "w") as f:
    json.dump(out, f)
