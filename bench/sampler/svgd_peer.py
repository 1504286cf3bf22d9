"""The workload on the PyTorch package `svgd`, through its public interface."""

from __future__ import annotations

import math

import torch
import workload as w
from svgd import SVGD
from svgd.distributions import InitialDistribution, TargetDistribution
from svgd.kernels import RBF
from svgd.kernels.parameters import ParameterKP
from svgd.lrs import ParameterLR


class Critics(TargetDistribution):
    """log p̄ of [B, M, D] actions: the smaller of two critics over ALPHA."""

    def __init__(self, obs: torch.Tensor):
        self.obs = obs.unsqueeze(1)  # [B, 1, S]
        width = w.OBS_DIM + w.ACTION_DIM
        self.critics = [
            torch.nn.Sequential(
                torch.nn.Linear(width, w.HIDDEN),
                torch.nn.ELU(),
                torch.nn.Linear(w.HIDDEN, w.HIDDEN),
                torch.nn.ELU(),
                torch.nn.Linear(w.HIDDEN, 1),
            ).requires_grad_(False)
            for _ in range(2)
        ]

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        obs = self.obs.expand(-1, x.shape[1], -1)
        row = torch.cat([obs, x], -1)  # [B, M, S+D]
        q1, q2 = (c(row).squeeze(-1) for c in self.critics)
        return torch.minimum(q1, q2) / w.ALPHA


class Conditional(InitialDistribution, torch.nn.Module):
    """A diagonal Gaussian for every state, mean and log-std [B, D] learned."""

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)
        self.mean = torch.nn.Parameter(torch.zeros(w.STATES, w.ACTION_DIM))
        self.log_std = torch.nn.Parameter(torch.full((w.STATES, w.ACTION_DIM), -1.0))

    def rsample(self, n_particles: int) -> torch.Tensor:
        z = torch.randn(w.STATES, n_particles, w.ACTION_DIM)
        return self.mean.unsqueeze(1) + self.log_std.exp().unsqueeze(1) * z

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        z = (x - self.mean.unsqueeze(1)) * (-self.log_std).exp().unsqueeze(1)
        norm = 0.5 * w.ACTION_DIM * math.log(2 * math.pi)
        return -0.5 * z.square().sum(-1) - self.log_std.sum(-1, keepdim=True) - norm


def main() -> None:
    args = w.arguments(__doc__)
    torch.manual_seed(0)
    target = Critics(torch.randn(w.STATES, w.OBS_DIM))
    sampler = SVGD(
        target_distribution=target,
        initial_distribution=Conditional(),
        kernel=RBF(ParameterKP(torch.tensor(w.BANDWIDTH).log(), torch.exp)),
        lr=ParameterLR(torch.tensor(w.STEP_SIZE).log(), torch.exp),
        bound_lr=True,
        lr_bound_alpha=w.BOUND_ALPHA,
    )

    def update() -> float:
        sampler.zero_grad()
        x, _, log_q = sampler.sample_with_log_q(args.particles, w.STEPS)
        loss = (log_q - target.log_prob(x)).mean()
        loss.backward()
        return loss.item()

    w.measure("svgd", args, update)


if __name__ == "__main__":
    main()
