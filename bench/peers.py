"""Learning curves of Stable-Baselines3 and SBX, evaluated and recorded as
`stein train` does, so that `stein report` compares them with Stein's runs.

Every --eval-every steps, 10 deterministic episodes are played on a separate
environment. A run is a folder with run.json, config.yaml and metrics.csv; each row
is written at once, so that an interrupted run keeps what it has measured.

    python bench/peers.py sbx-crossq --env Walker2d-v5 --seed 1 --out runs/peers/crossq-1

sb3-sac     SAC with Stable-Baselines3's own hyper-parameters
sbx-sac     the same in SBX
sbx-crossq  SBX's CrossQ with critics of width --width
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import os
import pathlib
import resource
import time
from typing import Any

import numpy as np

# Evaluation draws its start states from a stream of its own, the same for every
# training seed, as a training seed must not choose how hard its test is.
EVAL_SEED = 10_000


def main() -> None:
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("method", choices=["sb3-sac", "sbx-sac", "sbx-crossq"])
    p.add_argument("--env", default="Walker2d-v5")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--steps", type=int, default=100_000)
    p.add_argument("--eval-every", type=int, default=5_000)
    p.add_argument("--episodes", type=int, default=10)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--width", type=int, default=256, help="of CrossQ's critics")
    p.add_argument("--out", type=pathlib.Path, required=True)
    args = p.parse_args()

    # Before JAX and PyTorch are loaded, which read these once.
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    if args.threads == 1:
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[args.seed % os.cpu_count()]})

    import gymnasium as gym

    env = gym.make(args.env)
    model, settings, version = make(args, env)
    record = Record(args, settings, version)
    model.learn(args.steps, callback=evaluation(args, record))


def make(args: argparse.Namespace, env: Any) -> tuple[Any, dict[str, Any], str]:
    """The model, what is set of it, and the library's version."""
    settings: dict[str, Any] = {"learning_starts": 10_000, "batch_size": 256, "learning_rate": 3e-4}
    if args.method == "sb3-sac":
        import stable_baselines3
        import torch

        torch.set_num_threads(args.threads)
        kind, version = stable_baselines3.SAC, stable_baselines3.__version__
        extra: dict[str, Any] = {"device": "cpu"}
        settings["net_arch"] = [256, 256]
        policy_kwargs: dict[str, Any] = {"net_arch": [256, 256]}
    else:
        import sbx

        version, extra = sbx.__version__, {}
        if args.method == "sbx-sac":
            kind = sbx.SAC
            settings["net_arch"] = [256, 256]
            policy_kwargs = {"net_arch": [256, 256]}
        else:
            kind = sbx.CrossQ
            settings.update(learning_starts=5_000, learning_rate=1e-3, policy_delay=3)
            settings["net_arch"] = {"pi": [256, 256], "qf": [args.width, args.width]}
            extra["policy_delay"] = 3
            policy_kwargs = {"net_arch": settings["net_arch"]}
    model = kind(
        "MlpPolicy",
        env,
        learning_rate=settings["learning_rate"],
        learning_starts=settings["learning_starts"],
        batch_size=settings["batch_size"],
        policy_kwargs=policy_kwargs,
        seed=args.seed,
        **extra,
    )
    return model, settings, version


class Record:
    """A run folder that `stein report` reads."""

    def __init__(self, args: argparse.Namespace, settings: dict[str, Any], version: str):
        self.path = args.out / "metrics.csv"
        self.start = time.monotonic()
        args.out.mkdir(parents=True)
        name = "peers/" + args.method
        now = datetime.datetime.now(datetime.UTC).isoformat()
        info = {
            "id": f"{args.method}-{args.seed}",
            "config": name,
            "seed": args.seed,
            "created": now,
            "build": {"version": version, "go": "", "platform": "python"},
            "sessions": [],
            "exported": True,
        }
        (args.out / "run.json").write_text(json.dumps(info, indent=2) + "\n")
        config = {
            "seed": args.seed,
            "steps": args.steps,
            "env": {"id": args.env},
            "agent": settings,
            "engine": {"threads": args.threads},
        }
        (args.out / "config.yaml").write_text(json.dumps(config, indent=1) + "\n")  # JSON is YAML
        columns = ["step", "time", "eval/iqm_reward", "eval/mean_reward", "eval/std_reward"]
        self.columns = [*columns, "time/cpu", "time/time_elapsed", "time/fps"]
        self._row(self.columns, "w")

    def _row(self, row: list[Any], mode: str) -> None:
        with self.path.open(mode, newline="") as f:
            csv.writer(f).writerow(row)

    def add(self, step: int, returns: list[float], paused: float) -> None:
        elapsed = time.monotonic() - self.start
        usage = resource.getrusage(resource.RUSAGE_SELF)
        cut = len(returns) // 4
        iqm = np.mean(sorted(returns)[cut : len(returns) - cut])
        row = [step, elapsed, iqm, np.mean(returns), np.std(returns)]
        self._row([*row, usage.ru_utime + usage.ru_stime, elapsed, step / (elapsed - paused)], "a")
        print(f"{step} {iqm:.1f} {np.mean(returns):.1f} ± {np.std(returns):.1f}", flush=True)


def evaluation(args: argparse.Namespace, record: Record) -> Any:
    """The callback that plays deterministic episodes and records them."""
    import gymnasium as gym
    from stable_baselines3.common.callbacks import BaseCallback

    class Evaluation(BaseCallback):
        def __init__(self) -> None:
            super().__init__()
            self.env = gym.make(args.env)
            self.seed: int | None = EVAL_SEED
            self.paused = 0.0

        def _on_step(self) -> bool:
            if self.num_timesteps % args.eval_every == 0:
                begun = time.monotonic()
                returns = [self.episode() for _ in range(args.episodes)]
                self.paused += time.monotonic() - begun
                record.add(self.num_timesteps, returns, self.paused)
            return True

        def episode(self) -> float:
            obs, _ = self.env.reset(seed=self.seed)
            self.seed = None  # later episodes go on with the same stream
            total, over = 0.0, False
            while not over:
                action, _ = self.model.predict(obs, deterministic=True)
                obs, reward, terminated, truncated, _ = self.env.step(action)
                total += float(reward)
                over = terminated or truncated
            return total

    return Evaluation()


if __name__ == "__main__":
    main()
