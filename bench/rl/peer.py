"""SAC steps per second of a Python library: Walker2d-v5, one environment, one update per step.

The clock starts after --warmup updates, which include compilation, and stops --updates later.
It includes acting, stepping, storing, sampling and updating. --every K makes K updates after
every K steps. One process measures one size, so that its peak memory is that size's.
"""

from __future__ import annotations

import argparse
import json
import resource
import time

from stable_baselines3.common.callbacks import BaseCallback


class Clock(BaseCallback):
    """Takes the time between two step counts."""

    def __init__(self, first: int, last: int):
        super().__init__()
        self.first, self.last = first, last
        self.start = self.seconds = 0.0

    def _on_step(self) -> bool:
        if self.num_timesteps == self.first:
            self.start = time.perf_counter()
        if self.num_timesteps == self.last:
            self.seconds = time.perf_counter() - self.start
        return True


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--lib", choices=["sb3", "sbx"], required=True)
    p.add_argument("--env", default="Walker2d-v5")
    p.add_argument("--batch", type=int, default=256)
    p.add_argument("--every", type=int, default=1, help="steps between, and updates in, a round")
    p.add_argument("--starts", type=int, default=1000, help="random steps before learning")
    p.add_argument("--warmup", type=int, default=300, help="updates before the clock starts")
    p.add_argument("--updates", type=int, default=1000, help="updates timed")
    args = p.parse_args()

    if args.lib == "sb3":
        from stable_baselines3 import SAC
    else:
        from sbx import SAC

    model = SAC(
        "MlpPolicy",
        args.env,
        learning_rate=3e-4,
        buffer_size=1_000_000,
        learning_starts=args.starts,
        batch_size=args.batch,
        train_freq=args.every,
        gradient_steps=args.every,
        policy_kwargs={"net_arch": [256, 256]},
        seed=0,
        device="cpu",
    )
    first = args.starts + args.warmup
    clock = Clock(first, first + args.updates)
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
