"""Makes agents/td3/testdata/golden.json: the results of Stable-Baselines3's TD3 for given
weights, minibatches and noise.

    python bench/td3_golden.py      with stable-baselines3 2.9.2, torch 2.15.0, gymnasium 1.4.0
"""

from __future__ import annotations

import json
from pathlib import Path

import gymnasium
import numpy as np
import torch
from stable_baselines3 import TD3
from stable_baselines3.common.logger import configure
from stable_baselines3.common.type_aliases import ReplayBufferSamples

OBS, ACT, BATCH, UPDATES = 3, 2, 8, 10
SHOWN = (1, 2, 10)


class Box(gymnasium.Env):
    """Only its spaces are used."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (OBS,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (ACT,), np.float32)


def weights(model: TD3) -> dict[str, list]:
    """All variables by Stein's paths; layers are [inputs, outputs]."""
    out: dict[str, list] = {}

    def layers(name: str, net: torch.nn.Sequential) -> None:
        linear = [m for m in net if isinstance(m, torch.nn.Linear)]
        for i, layer in enumerate(linear):
            at = f"{name}/out" if i == len(linear) - 1 else f"{name}/hidden_{i}"
            out[f"{at}/weights"] = layer.weight.detach().numpy().T.tolist()
            out[f"{at}/biases"] = layer.bias.detach().numpy().tolist()

    for scope, actor, critic in (
        ("", model.actor, model.critic),
        ("/target", model.actor_target, model.critic_target),
    ):
        layers(f"{scope}/actor", actor.mu)
        for k, net in enumerate(critic.q_networks):
            layers(f"{scope}/critic/q{k}", net)
    return out


def main() -> None:
    torch.manual_seed(3)
    rng = np.random.default_rng(5)
    model = TD3(
        "MlpPolicy",
        Box(),
        policy_kwargs={"net_arch": [16, 16]},
        device="cpu",
        batch_size=BATCH,
        seed=3,
    )
    model.set_logger(configure(None, []))
    draws = {
        "observations": rng.normal(size=(UPDATES, BATCH, OBS)),
        "actions": np.tanh(rng.normal(size=(UPDATES, BATCH, ACT))),
        "next": rng.normal(size=(UPDATES, BATCH, OBS)),
        "rewards": rng.normal(size=(UPDATES, BATCH)),
        "dones": (rng.random((UPDATES, BATCH)) < 0.2).astype(float),
        "noise": rng.normal(size=(UPDATES, BATCH, ACT)),  # standard normal
    }
    draws = {name: np.round(x, 5).astype(np.float32) for name, x in draws.items()}
    golden = {name: x.tolist() for name, x in draws.items()}
    golden["weights"] = {"0": weights(model)}
    golden["critic_loss"], golden["actor_loss"] = [], []

    tensor = {name: torch.tensor(x) for name, x in draws.items()}
    now = {"update": 0}

    def sample(*_args: object, **_kwargs: object) -> ReplayBufferSamples:
        i = now["update"]
        dones, rewards = (
            tensor[name][i].reshape(-1, 1) for name in ("dones", "rewards")
        )
        return ReplayBufferSamples(
            tensor["observations"][i],
            tensor["actions"][i],
            tensor["next"][i],
            dones,
            rewards,
        )

    def normal_(self: torch.Tensor, mean: float = 0, std: float = 1) -> torch.Tensor:
        return self.copy_(tensor["noise"][now["update"]] * std + mean)

    model.replay_buffer.sample = sample
    torch.Tensor.normal_ = normal_
    for i in range(UPDATES):
        now["update"] = i
        model.train(gradient_steps=1, batch_size=BATCH)
        values = model.logger.name_to_value
        golden["critic_loss"].append(float(values["train/critic_loss"]))
        golden["actor_loss"].append(
            float(values["train/actor_loss"]) if "train/actor_loss" in values else None
        )
        model.logger.name_to_value.clear()
        if i + 1 in SHOWN:
            golden["weights"][str(i + 1)] = weights(model)
    target = Path(__file__).parent.parent / "agents/td3/testdata/golden.json"
    target.write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
