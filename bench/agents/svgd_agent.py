"""The particle agents on the PyTorch package `svgd`, for comparison with Stein's.

Soft actor-critic on Walker2d-v5 with the published sizes: twin critics 2 x 256, a policy
network of 3 x 256 for the initial Gaussian, M particles moved L = 3 steps, one update of all
parts per step, 50 updates after every 50 steps. `p-svgd` has the median's sigma and a fixed
epsilon; `met-sigma-eps` has both as networks of the state, the trace term and the bound. The
sampler is used through its public interface. It omits the following, which cost Stein time: the
truncated start of p-svgd, the leaky clamp, and the figures of the sampler that Stein logs.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import math
import resource
import time

import gymnasium as gym
import numpy as np
import torch
from svgd import SVGD
from svgd.distributions import InitialDistribution, TargetDistribution
from svgd.kernels import RBF
from svgd.kernels.parameters import KP, HeuristicKP
from svgd.lrs import LR, ParameterLR
from torch import Tensor, nn

GAMMA, ALPHA, TAU, RATE, BATCH, STEPS, ROUND = 0.99, 0.2, 0.005, 1e-3, 100, 3, 50


def mlp(sizes: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), nn.ELU()]
    return nn.Sequential(*layers[:-1])


class Critics(nn.Module):
    """The values of twin critics at obs [B, S] and actions [B, M, A], each [B, M]."""

    def __init__(self, obs: int, act: int):
        super().__init__()
        self.nets = nn.ModuleList(mlp([obs + act, 256, 256, 1]) for _ in range(2))

    def forward(self, obs: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        row = torch.cat([obs.unsqueeze(1).expand(-1, action.shape[1], -1), action], -1)
        q1, q2 = (net(row).squeeze(-1) for net in self.nets)
        return q1, q2

    def least(self, obs: Tensor, action: Tensor) -> Tensor:
        return torch.minimum(*self(obs, action))


def log_det_tanh(u: Tensor) -> Tensor:
    return (2 * (math.log(2) - u - nn.functional.softplus(-2 * u))).sum(-1)


class Soft(TargetDistribution):
    """exp(Q/alpha) of the actions, as a density of u with a = tanh(u)."""

    def __init__(self, critics: Critics):
        self.critics, self.obs = critics, torch.empty(0)

    def log_prob(self, x: Tensor) -> Tensor:
        return self.critics.least(self.obs, x.tanh()) / ALPHA + log_det_tanh(x)


class Start(InitialDistribution, nn.Module):
    """A diagonal Gaussian that depends on the state, its deviation in [0.1, 1]."""

    def __init__(self, obs: int, act: int):
        nn.Module.__init__(self)
        self.net, self.act = mlp([obs, 256, 256, 256, 2 * act]), act
        self.mean = self.log_std = torch.empty(0)

    def condition(self, obs: Tensor) -> None:
        self.mean, log_std = self.net(obs).unsqueeze(1).split(self.act, -1)
        self.log_std = log_std.clamp(math.log(0.1), 0.0)

    def rsample(self, n_particles: int) -> Tensor:
        b, _, a = self.mean.shape
        return self.mean + self.log_std.exp() * torch.randn(b, n_particles, a)

    def log_prob(self, x: Tensor) -> Tensor:
        z = (x - self.mean) * (-self.log_std).exp()
        norm = 0.5 * self.act * math.log(2 * math.pi)
        return -0.5 * z.square().sum(-1) - self.log_std.sum(-1) - norm


class OfState(KP, LR, nn.Module):
    """A positive scale in [low, high] as a network of the state."""

    def __init__(self, obs: int, value: float, low: float, high: float):
        nn.Module.__init__(self)
        self.net = mlp([obs, 64, 64, 1])
        nn.init.constant_(self.net[-1].bias, math.log(value))
        self.low, self.high, self.obs = math.log(low), math.log(high), torch.empty(0)

    def forward(self, state: object, **_: object) -> Tensor:
        return self.net(self.obs).squeeze(-1).clamp(self.low, self.high).exp()


class Agent:
    def __init__(self, kind: str, obs: int, act: int, particles: int):
        self.particles = particles
        self.critics = Critics(obs, act)
        self.target = copy.deepcopy(self.critics).requires_grad_(False)
        self.soft, self.start = Soft(self.critics), Start(obs, act)
        self.scales: list[OfState] = []
        if kind == "p-svgd":
            fixed = ParameterLR(torch.tensor(0.1)).requires_grad_(False)
            parts = {
                "kernel": RBF(HeuristicKP("median")),
                "lr": fixed,
                "ij_term_density": False,
            }
        else:
            self.scales = [OfState(obs, 1.0, 0.05, 5.0), OfState(obs, 0.1, 1e-4, 1.0)]
            parts = {
                "kernel": RBF(self.scales[0]),
                "lr": self.scales[1],
                "bound_lr": True,
            }
        self.sampler = SVGD(
            target_distribution=self.soft, initial_distribution=self.start, **parts
        )
        learned = [p for part in (self.start, *self.scales) for p in part.parameters()]
        self.policy_opt = torch.optim.Adam(learned, RATE)
        self.critic_opt = torch.optim.Adam(self.critics.parameters(), RATE)

    def sample(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Actions [B, M, A] and their log-probabilities [B, M]."""
        self.soft.obs = obs
        self.start.condition(obs)
        for scale in self.scales:
            scale.obs = obs
        u, _, log_q = self.sampler.sample_with_log_q(self.particles, STEPS)
        return u.tanh(), log_q - log_det_tanh(u)

    def act(self, obs: np.ndarray) -> np.ndarray:
        actions, _ = self.sample(torch.as_tensor(obs, dtype=torch.float32)[None])
        return actions[0, np.random.randint(self.particles)].detach().numpy()

    def update(
        self, obs: Tensor, action: Tensor, reward: Tensor, after: Tensor, on: Tensor
    ) -> float:
        # The critics are constants for the policy's loss: no gradients are computed for
        # them.
        self.critics.requires_grad_(False)
        ahead, log_prob = (x.detach() for x in self.sample(after))
        y = reward + GAMMA * on * (
            self.target.least(after, ahead) - ALPHA * log_prob
        ).mean(1)
        draw, log_prob = self.sample(obs)
        policy_loss = (ALPHA * log_prob - self.critics.least(obs, draw)).mean()
        self.policy_opt.zero_grad()
        policy_loss.backward()
        self.critics.requires_grad_(True)

        q1, q2 = self.critics(obs, action.unsqueeze(1))
        loss = 0.5 * ((q1[:, 0] - y).square() + (q2[:, 0] - y).square()).mean()
        self.critic_opt.zero_grad()
        loss.backward()
        self.policy_opt.step()
        self.critic_opt.step()
        with torch.no_grad():
            for slow, fast in zip(
                self.target.parameters(), self.critics.parameters(), strict=True
            ):
                slow.lerp_(fast, TAU)
        return loss.item()


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--kind", choices=["p-svgd", "met-sigma-eps"], required=True)
    p.add_argument("--particles", type=int, default=10)
    p.add_argument(
        "--starts", type=int, default=400, help="random steps before learning"
    )
    p.add_argument(
        "--round", type=int, default=ROUND, help="steps per round, followed by as many updates"
    )
    p.add_argument(
        "--warmup", type=int, default=1, help="rounds before the clock starts"
    )
    p.add_argument("--rounds", type=int, default=2, help="rounds timed")
    args = p.parse_args()

    torch.manual_seed(0)
    env = gym.make("Walker2d-v5")
    obs, _ = env.reset(seed=0)
    agent = Agent(args.kind, obs.shape[0], env.action_space.shape[0], args.particles)
    rows: list[tuple[np.ndarray, np.ndarray, float, np.ndarray, float]] = []

    def step(action: np.ndarray) -> None:
        nonlocal obs
        after, reward, ended, cut, _ = env.step(action)
        rows.append((obs, action, float(reward), after, 1.0 - ended))
        obs = env.reset()[0] if ended or cut else after

    def learn() -> float:
        picked = [rows[i] for i in np.random.randint(len(rows), size=BATCH)]
        return agent.update(
            *(
                torch.as_tensor(np.array(column), dtype=torch.float32)
                for column in zip(*picked, strict=True)
            )
        )

    for _ in range(args.starts):
        step(env.action_space.sample())
    started = 0.0
    for i in range(args.warmup + args.rounds):
        if i == args.warmup:
            started = time.perf_counter()
        for _ in range(args.round):
            step(agent.act(obs))
        for _ in range(args.round):
            loss = learn()
    seconds = time.perf_counter() - started
    if not math.isfinite(loss):
        raise SystemExit(f"{args.kind}: the loss is {loss}")
    print(
        json.dumps(
            {
                "name": args.kind,
                "particles": args.particles,
                "step_ms": 1e3 * seconds / (args.rounds * args.round),
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
