"""Environment steps per second of Gymnasium in Python.

Each of --workers processes holds --copies environments and steps them in
sequence, resetting those that ended, like a worker of the bridge but without
the bridge. Actions are uniform and drawn in advance.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import multiprocessing.synchronize
import resource
import time

import gymnasium as gym
import numpy as np


def step_for(
    env_id: str,
    copies: int,
    seconds: float,
    seed: int,
    ready: multiprocessing.synchronize.Barrier,
    out: multiprocessing.SimpleQueue,
) -> None:
    envs = [gym.make(env_id) for _ in range(copies)]
    space = envs[0].action_space
    draws = np.random.default_rng(seed).uniform(-1, 1, (1000, copies, *space.shape))
    actions = (space.low + (draws + 1) / 2 * (space.high - space.low)).astype(space.dtype)
    for i, env in enumerate(envs):
        env.reset(seed=seed + i)

    def rounds(seconds: float) -> tuple[int, float]:
        n, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            for action in actions[n % 1000 : n % 1000 + 20]:
                for env, a in zip(envs, action, strict=True):
                    _, _, terminated, truncated, _ = env.step(a)
                    if terminated or truncated:
                        env.reset()
                n += 1
        return n, time.perf_counter() - start

    rounds(0.3)
    ready.wait()
    n, took = rounds(seconds)
    out.put((n * copies / took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--env", default="Walker2d-v5")
    p.add_argument("--workers", type=int, default=1)
    p.add_argument("--copies", type=int, default=1)
    p.add_argument("--seconds", type=float, default=3)
    args = p.parse_args()

    spawn = multiprocessing.get_context("spawn")
    ready, out = spawn.Barrier(args.workers), spawn.SimpleQueue()
    workers = [
        spawn.Process(
            target=step_for, args=(args.env, args.copies, args.seconds, 100 * w, ready, out)
        )
        for w in range(args.workers)
    ]
    for w in workers:
        w.start()
    results = [out.get() for _ in workers]
    for w in workers:
        w.join()
    print(
        json.dumps(
            {
                "name": "python",
                "workers": args.workers,
                "copies": args.copies,
                "steps_per_s": sum(rate for rate, _ in results),
                "peak_mb": max(peak for _, peak in results),
            }
        )
    )


if __name__ == "__main__":
    main()
