"""Swings up a pendulum with the actions of a served policy.

    pip install ./python_env
    python examples/serve/control.py [HOST:PORT]
"""

import sys

import gymnasium

from stein_env.client import Client, scale

address = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50051"
env = gymnasium.make("Pendulum-v1")

with Client(address) as policies, policies.stream() as loop:
    spec = policies.specs()[0]
    print(f"{spec.name}: {spec.kind} on {spec.env}, {spec.step} steps of training")
    obs, _ = env.reset(seed=0)
    total, ended = 0.0, False
    while not ended:
        answer = loop.act(obs, deterministic=True)
        action = scale(answer.actions, spec.act_low, spec.act_high)
        obs, reward, terminated, truncated, _ = env.step(action)
        total, ended = total + float(reward), terminated or truncated
    print(f"return {total:.0f}")
