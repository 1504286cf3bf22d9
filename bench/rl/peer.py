"""Steps per second of SAC or CrossQ of a Python library: one environment, one update per step.

The clock starts after --warmup updates, which include compilation, and stops --updates later.
It includes acting, stepping, storing, sampling and updating. --every K makes K updates after
every K steps. One process measures one size, so that its peak memory is that size's.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from typing import Any


def clock_between(first: int, last: int) -> Any:
    """A callback that takes the time between two step counts."""
    from stable_baselines3.common.callbacks import BaseCallback

    class Clock(BaseCallback):
        start = seconds = 0.0

        def _on_step(self) -> bool:
            if self.num_timesteps == first:
                self.start = time.perf_counter()
            if self.num_timesteps == last:
                self.seconds = time.perf_counter() - self.start
            return True

    return Clock()


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--lib", choices=["sb3", "sbx", "crossq"], required=True)
    p.add_argument("--env", default="Walker2d-v5")
    p.add_argument("--batch", type=int, default=256)
    p.add_argument("--every", type=int, default=1, help="steps between, and updates in, a round")
    p.add_argument("--starts", type=int, default=1000, help="random steps before learning")
    p.add_argument("--warmup", type=int, default=300, help="updates before the clock starts")
    p.add_argument("--updates", type=int, default=1000, help="updates timed")
    p.add_argument("--hidden", type=int, nargs="+", default=[256, 256])
    p.add_argument("--threads", type=int, default=0, help="1: on one core alone; 0: as it likes")
    args = p.parse_args()

    # Before JAX and PyTorch are loaded, which read these once.
    if args.threads:
        os.environ["OMP_NUM_THREADS"] = str(args.threads)
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-args.threads :])

    more: dict[str, Any] = {"learning_rate": 3e-4, "policy_kwargs": {"net_arch": args.hidden}}
    if args.lib == "sb3":
        from stable_baselines3 import SAC as Kind

        more["device"] = "cpu"
    elif args.lib == "sbx":
        from sbx import SAC as Kind
    else:
        from sbx import CrossQ as Kind

        more = {
            "learning_rate": 1e-3,
            "policy_delay": 3,
            "policy_kwargs": {"net_arch": {"pi": args.hidden, "qf": args.hidden}},
        }

    model = Kind(
        "MlpPolicy",
        args.env,
        buffer_size=1_000_000,
        learning_starts=args.starts,
        batch_size=args.batch,
        train_freq=args.every,
        gradient_steps=args.every,
        seed=0,
        **more,
    )
    first = args.starts + args.warmup
    clock = clock_between(first, first + args.updates)
    model.learn(first + args.updates, callback=clock)
    print(
        json.dumps(
            {
                "name": args.lib,
                "batch": args.batch,
                "every": args.every,
                "steps_per_s": args.updates / clock.seconds,
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
