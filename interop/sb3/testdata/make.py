"""Makes the models of this folder, and what Stable-Baselines3 does with them.

    python make.py      with stable-baselines3 2.9.2, torch 2.15.0, gymnasium 1.4.0
"""

from __future__ import annotations

import json
from pathlib import Path

import gymnasium
import numpy as np
import torch
from stable_baselines3 import SAC
from stable_baselines3.common.utils import LinearSchedule

HERE = Path(__file__).parent
MODELS = {
    # Learned temperature, one architecture for all, a schedule for a learning rate.
    "relu": {
        "policy_kwargs": {"net_arch": [8, 8]},
        "learning_rate": LinearSchedule(1e-3, 0.0, 1.0),
        "gamma": 0.98,
    },
    # Fixed temperature, another architecture for the critics.
    "tanh": {
        "policy_kwargs": {
            "net_arch": {"pi": [6], "qf": [7, 5, 4]},
            "activation_fn": torch.nn.Tanh,
        },
        "learning_rate": 2e-3,
        "ent_coef": 0.2,
        "batch_size": 32,
    },
}


def observations(env_id: str, count: int) -> np.ndarray:
    env = gymnasium.make(env_id)
    env.action_space.seed(3)
    obs, _ = env.reset(seed=3)
    rows = []
    for _ in range(count):
        rows.append(obs)
        obs, *_ = env.step(env.action_space.sample())
    return np.array(rows, np.float32)


def main() -> None:
    golden = {}
    for name, settings in MODELS.items():
        model = SAC(
            "MlpPolicy",
            "Pendulum-v1",
            seed=0,
            device="cpu",
            learning_starts=100,
            buffer_size=1000,
            **settings,
        )
        model.learn(250)
        model.save(HERE / name)
        obs = observations("Pendulum-v1", 20)
        # As model.predict has them before it scales them to the environment's.
        actions = model.policy.predict(obs, deterministic=True)[0]
        actions = model.policy.scale_action(actions)
        with torch.no_grad():
            both = model.critic(torch.tensor(obs), torch.tensor(actions))
            targets = model.critic_target(torch.tensor(obs), torch.tensor(actions))
        golden[name] = {
            "observations": obs.tolist(),
            "actions": actions.tolist(),
            "q": [q[:, 0].tolist() for q in both],
            "target_q": [q[:, 0].tolist() for q in targets],
            "updates": model._n_updates,
        }
    (HERE / "golden.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
