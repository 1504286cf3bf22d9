"""Reference learning curve: Stable-Baselines3's SAC with the hyper-parameters of
walker2d/sac-sb3, evaluated like `stein train`.

Every --eval-every steps it runs 10 deterministic episodes in a separate
environment and appends a row to the CSV, so that an interrupted
run keeps its results:

    step,mean,std,seconds,returns    (returns are joined by ';')
"""

from __future__ import annotations

import argparse
import csv
import pathlib
import time

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3 import SAC
from stable_baselines3.common.callbacks import BaseCallback

# Evaluation uses its own stream of initial states, the same for every training seed, so
# that the training seed does not affect how hard the test is.
EVAL_SEED = 10_000


class Evaluation(BaseCallback):
    """Runs deterministic episodes every `every` steps and appends a CSV row."""

    def __init__(self, env_id: str, every: int, episodes: int, path: pathlib.Path):
        super().__init__()
        self.env = gym.make(env_id)
        self.seed = EVAL_SEED
        self.every, self.episodes, self.path = every, episodes, path
        self.start = time.monotonic()

    def _on_training_start(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("w", newline="") as f:
            csv.writer(f).writerow(["step", "mean", "std", "seconds", "returns"])

    def _on_step(self) -> bool:
        if self.num_timesteps % self.every == 0:
            self.evaluate()
        return True

    def evaluate(self) -> None:
        returns = [self.episode() for _ in range(self.episodes)]
        seconds = time.monotonic() - self.start
        with self.path.open("a", newline="") as f:
            csv.writer(f).writerow(
                [
                    self.num_timesteps,
                    f"{np.mean(returns):.3f}",
                    f"{np.std(returns):.3f}",
                    f"{seconds:.1f}",
                    ";".join(f"{r:.3f}" for r in returns),
                ]
            )
        print(f"{self.num_timesteps} {np.mean(returns):.1f} ± {np.std(returns):.1f}", flush=True)

    def episode(self) -> float:
        obs, _ = self.env.reset(seed=self.seed)
        self.seed = None  # later episodes continue the same stream
        total, over = 0.0, False
        while not over:
            action, _ = self.model.predict(obs, deterministic=True)
            obs, reward, terminated, truncated, _ = self.env.step(action)
            total += float(reward)
            over = terminated or truncated
        return total


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--env", default="Walker2d-v5")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--steps", type=int, default=100_000)
    p.add_argument("--eval-every", type=int, default=5_000)
    p.add_argument("--episodes", type=int, default=10)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--out", type=pathlib.Path, required=True)
    args = p.parse_args()

    torch.set_num_threads(args.threads)
    env = gym.make(args.env)
    model = SAC(
        "MlpPolicy",
        env,
        learning_rate=3e-4,
        buffer_size=1_000_000,
        learning_starts=10_000,
        batch_size=256,
        tau=0.005,
        gamma=0.99,
        train_freq=1,
        gradient_steps=1,
        ent_coef="auto",
        target_entropy=-float(np.prod(env.action_space.shape)),
        policy_kwargs={"net_arch": [256, 256], "activation_fn": torch.nn.ReLU},
        seed=args.seed,
        device="cpu",
    )
    model.learn(args.steps, callback=Evaluation(args.env, args.eval_every, args.episodes, args.out))


if __name__ == "__main__":
    main()
