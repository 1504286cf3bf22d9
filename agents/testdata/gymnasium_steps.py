"""Does given actions in Gymnasium itself, without the worker, and says what came of them.

Standard input: {"env", "max_steps" (0: the registered limit), "seed", "actions": [copy,
step, number in [-1, 1]]}. Standard output: one object of flat lists for each copy, whose
first episode has the seed seed + copy; numbers are float32.
"""

import json
import sys

import gymnasium
import numpy as np


def steps(env_id, max_steps, seed, actions):
    env = gymnasium.make(env_id, **({"max_episode_steps": max_steps} if max_steps else {}))
    low, high = (np.asarray(x, np.float64) for x in (env.action_space.low, env.action_space.high))
    out = {"obs": [], "next": [], "reward": [], "terminated": [], "truncated": []}
    obs, _ = env.reset(seed=seed)
    for action in actions:
        wide = (low + high) / 2 + np.asarray(action, np.float64) * (high - low) / 2
        after, reward, terminated, truncated, _ = env.step(wide.astype(env.action_space.dtype))
        out["obs"] += np.asarray(obs, np.float32).tolist()
        out["next"] += np.asarray(after, np.float32).tolist()
        out["reward"].append(float(np.float32(reward)))
        out["terminated"].append(bool(terminated))
        out["truncated"].append(bool(truncated))
        obs = env.reset()[0] if terminated or truncated else after
    env.close()
    return out


asked = json.load(sys.stdin)
json.dump(
    [steps(asked["env"], asked["max_steps"], asked["seed"] + i, one) for i, one in enumerate(asked["actions"])],
    sys.stdout,
)
