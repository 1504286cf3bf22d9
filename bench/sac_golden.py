"""Makes the golden files of agents/sac/testdata: the results of Stable-Baselines3's SAC and SBX's
CrossQ for given weights, minibatches and noise.

    go test ./agents/sac -run TestGoldenNoise -args -noise /tmp/noise.json
    python bench/sac_golden.py /tmp/noise.json

with stable-baselines3 2.9.2, sbx-rl 0.28.0, torch 2.15.0, jax 0.10.2, gymnasium 1.4.0.
Both run their own code. Their random numbers are replaced by the noise, and
"exact" results use a corrected formula, which Stein implements in another form:

  * Stable-Baselines3 adds 1e-6 within the logarithm of 1 - tanh(u)^2
  * SBX's batch renormalisation, once it sets in, adds epsilon to a variance that it has
    already divided by r^2; in Ioffe (2017), algorithm 1, epsilon is part of the deviation

All lists are flat in row-major order, and variables have Stein's paths.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import sbx.common.jax_layers
import sbx.crossq.policies
import torch
from sbx import CrossQ
from sbx.common.distributions import TanhTransformedDistribution
from stable_baselines3 import SAC
from stable_baselines3.common.distributions import DiagGaussianDistribution, SquashedDiagGaussianDistribution
from stable_baselines3.common.logger import configure
from stable_baselines3.common.type_aliases import ReplayBufferSamples

OBS, ACT, BATCH = 3, 2, 8
SB3_UPDATES, SB3_SHOWN, SB3_ORIGINAL = 16, (1, 2, 8, 10, 16), (1, 10)
CROSSQ_UPDATES, CROSSQ_SHOWN, CROSSQ_ORIGINAL = 12, (1, 3, 6, 12), (1, 2)
KINDS = ("", "_1st_moment", "_2nd_moment")  # stored for each variable

Arrays = dict[str, np.ndarray]


class Box(gymnasium.Env):
    """Only its spaces are used."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (OBS,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (ACT,), np.float32)


def flat(x: Any) -> list[float]:
    """Numbers with the shortest text that parses to the same float32."""
    return [float(str(y)) for y in np.asarray(x, np.float32).ravel()]


def variables(path: str, which: str, x: np.ndarray) -> tuple[str, np.ndarray]:
    """The path of a variable or of one of its moments."""
    return (path if which == "" else f"/AdamOptimizer{path}{which}"), x


def minibatches(updates: int, seed: int) -> dict[str, np.ndarray]:
    """[update, row, number] each."""
    rng = np.random.default_rng(seed)
    size = (updates, BATCH)
    draws = {
        "observations": rng.normal(size=(*size, OBS)) * (0.3, 1, 3) + (0.5, 0, -1),
        "actions": np.tanh(rng.normal(size=(*size, ACT))),
        "next": rng.normal(size=(*size, OBS)) * (0.3, 1, 3) + (0.7, 0, -1),
        "rewards": rng.normal(size=size),
        "dones": (rng.random(size) < 0.2).astype(float),
    }
    return {name: np.round(x, 4).astype(np.float32) for name, x in draws.items()}


def critic_input(weights: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Splits the rows of a critic's first layer, or the features of its normalisation."""
    yield "of_obs", weights[:OBS]
    yield "of_action", weights[OBS:]


# Stable-Baselines3 -----------------------------------------------------------------


def sb3_variables(model: SAC, kinds: tuple[str, ...] = KINDS) -> Arrays:
    """Linear's weights are [outputs, inputs]; Stein's are [inputs, outputs]."""
    out: Arrays = {}

    def read(parameter: torch.Tensor, optimizer: torch.optim.Optimizer, which: str) -> np.ndarray:
        if which == "":
            return parameter.detach().numpy().T.copy()
        state = optimizer.state[parameter]
        return state["exp_avg" if which == "_1st_moment" else "exp_avg_sq"].numpy().T.copy()

    def put(path: str, which: str, x: np.ndarray) -> None:
        key, x = variables(path, which, x)
        out[key] = x

    def linear(net: torch.nn.Module) -> list[torch.nn.Linear]:
        return [m for m in net if isinstance(m, torch.nn.Linear)]  # type: ignore[attr-defined]

    def critic(scope: str, net: Any, which: str) -> None:
        for k, q in enumerate(net.q_networks):
            first, *rest = linear(q)
            for name, rows in critic_input(read(first.weight, model.critic.optimizer, which)):
                put(f"/{scope}/q{k}/{name}/weights", which, rows)
            put(f"/{scope}/q{k}/of_obs/biases", which, read(first.bias, model.critic.optimizer, which))
            for name, layer in zip(("hidden_0", "out"), rest, strict=True):
                put(f"/{scope}/q{k}/rest/{name}/weights", which, read(layer.weight, model.critic.optimizer, which))
                put(f"/{scope}/q{k}/rest/{name}/biases", which, read(layer.bias, model.critic.optimizer, which))

    actor, alpha = model.actor, model.ent_coef_optimizer
    assert model.log_ent_coef is not None and alpha is not None
    for which in kinds:
        critic("critic", model.critic, which)
        for i, layer in enumerate(linear(actor.latent_pi)):
            put(f"/policy/gaussian/hidden_{i}/weights", which, read(layer.weight, actor.optimizer, which))
            put(f"/policy/gaussian/hidden_{i}/biases", which, read(layer.bias, actor.optimizer, which))
        for kind, name in (("weights", "weight"), ("biases", "bias")):
            heads = [read(getattr(head, name), actor.optimizer, which) for head in (actor.mu, actor.log_std)]
            put(f"/policy/gaussian/out/{kind}", which, np.concatenate(heads, -1))
        put("/alpha/log_alpha", which, read(model.log_ent_coef, alpha, which))
    critic("target", model.critic_target, "")
    return out


def exact_log_prob(self: Any, actions: torch.Tensor, gaussian_actions: torch.Tensor | None = None) -> torch.Tensor:
    """log(1 - tanh(u)^2) in the form that is exact everywhere."""
    u = torch.atanh(actions) if gaussian_actions is None else gaussian_actions
    squash = 2 * (np.log(2.0) - u - torch.nn.functional.softplus(-2 * u))
    return DiagGaussianDistribution.log_prob(self, u) - squash.sum(1)


def sb3_follow(draws: Arrays, noise: Arrays, shown: tuple[int, ...]) -> tuple[Arrays, dict[int, Arrays]]:
    torch.manual_seed(3)
    model = SAC("MlpPolicy", Box(), policy_kwargs={"net_arch": [16, 16]}, device="cpu", batch_size=BATCH, seed=3)
    model.set_logger(configure(None, []))
    start = sb3_variables(model, kinds=KINDS[:1])
    tensor = {name: torch.tensor(x) for name, x in draws.items()}
    queue: list[np.ndarray] = []

    def rsample(self: torch.distributions.Normal, sample_shape: Any = ()) -> torch.Tensor:
        return self.loc + torch.tensor(queue.pop(0)) * self.scale

    torch.distributions.Normal.rsample = rsample  # type: ignore[method-assign]
    after = {}
    for i in range(max(shown)):
        sample = ReplayBufferSamples(
            tensor["observations"][i], tensor["actions"][i], tensor["next"][i],
            tensor["dones"][i].reshape(-1, 1), tensor["rewards"][i].reshape(-1, 1),
        )  # fmt: skip
        model.replay_buffer.sample = lambda *_, sample=sample, **__: sample  # type: ignore
        queue += [noise["policy_noise"][i], noise["next_noise"][i]]  # in the order in which train draws
        model.train(gradient_steps=1, batch_size=BATCH)
        assert not queue
        if i + 1 in shown:
            after[i + 1] = sb3_variables(model)
    return start, after


def stable_baselines3(noise: Arrays) -> dict[str, Any]:
    draws = minibatches(SB3_UPDATES, 5)
    _, original = sb3_follow(draws, noise, SB3_ORIGINAL)
    SquashedDiagGaussianDistribution.log_prob = exact_log_prob  # type: ignore[method-assign]
    start, exact = sb3_follow(draws, noise, SB3_SHOWN)
    return {
        **draws,
        **{name: x[:SB3_UPDATES] for name, x in noise.items()},
        "start": start,
        "exact": exact,
        "original": original,
    }


# SBX -------------------------------------------------------------------------------

NORMS = {"scale": "scale", "bias": "shift", "mean": "running_mean", "var": "running_variance"}
CRITIC_LAYERS = (("BatchRenorm_1", "Dense_1", "hidden_0"), ("BatchRenorm_2", "Dense_2", "out"))
ACTOR_LAYERS = (("BatchRenorm_0", "Dense_0", "hidden_0"), ("BatchRenorm_1", "Dense_1", "hidden_1"))


def crossq_tree(critic: Any, actor: Any) -> Arrays:
    """Variables of one kind: parameters, running statistics or moments."""
    out: Arrays = {}

    def norm(path: str, node: Any, pick: Callable[[np.ndarray], np.ndarray]) -> None:
        for name, x in node.items():
            if name in NORMS:
                out[f"{path}/norm/{NORMS[name]}"] = pick(np.asarray(x))
            elif name == "steps":
                out[f"{path}/norm/running_steps"] = np.asarray(x).ravel()[:1]

    def dense(path: str, node: Any, pick: Callable[[np.ndarray], np.ndarray]) -> None:
        out[f"{path}/weights"], out[f"{path}/biases"] = pick(np.asarray(node["kernel"])), pick(np.asarray(node["bias"]))

    critic = critic["VmapCritic_0"]
    for k in range(2):
        one = f"/critic/q{k}"
        for name, part in (("of_obs", slice(OBS)), ("of_action", slice(OBS, None))):
            norm(f"{one}/{name}", critic["BatchRenorm_0"], lambda x, k=k, part=part: x[k][part])
            if "Dense_0" in critic:
                out[f"{one}/{name}/weights"] = np.asarray(critic["Dense_0"]["kernel"])[k][part]
        if "Dense_0" in critic:
            out[f"{one}/of_obs/biases"] = np.asarray(critic["Dense_0"]["bias"])[k]
        for from_norm, from_dense, to in CRITIC_LAYERS:
            norm(f"{one}/rest/{to}", critic[from_norm], lambda x, k=k: x[k])
            if from_dense in critic:
                dense(f"{one}/rest/{to}", critic[from_dense], lambda x, k=k: x[k])
    for from_norm, from_dense, to in ACTOR_LAYERS:
        norm(f"/policy/gaussian/{to}", actor[from_norm], lambda x: x)
        if from_dense in actor:
            dense(f"/policy/gaussian/{to}", actor[from_dense], lambda x: x)
    norm("/policy/gaussian/out", actor["BatchRenorm_2"], lambda x: x)
    if "Dense_2" in actor:
        for to, name in (("weights", "kernel"), ("biases", "bias")):
            heads = [np.asarray(actor[head][name]) for head in ("Dense_2", "Dense_3")]
            out[f"/policy/gaussian/out/{to}"] = np.concatenate(heads, -1)
    return out


def crossq_variables(qf: Any, actor: Any, alpha: Any, moments: bool = True) -> Arrays:
    out = crossq_tree(qf.params, actor.params) | crossq_tree(qf.batch_stats, actor.batch_stats)
    out["/alpha/log_alpha"] = np.asarray(alpha.params["log_ent_coef"])
    if moments:
        for which, name in (("_1st_moment", "mu"), ("_2nd_moment", "nu")):
            trees = [getattr(state.opt_state[0], name) for state in (qf, actor, alpha)]
            all_of = crossq_tree(trees[0], trees[1]) | {"/alpha/log_alpha": np.asarray(trees[2]["log_ent_coef"])}
            out |= dict(variables(path, which, x) for path, x in all_of.items())
    return out


def stirred(state: Any, rng: np.random.Generator, least: float) -> Any:
    """Sets non-initial scales, shifts and running statistics, two updates before
    renormalisation begins. least is the least variance."""

    def params(path: Any, x: jax.Array) -> jax.Array:
        return x + 0.2 * jnp.asarray(rng.normal(size=x.shape), x.dtype) if "BatchRenorm" in str(path) else x

    def stats(path: Any, x: Any) -> Any:
        name = path[-1].key
        if name == "mean":  # after a ReLU the mean is positive
            return jnp.asarray(rng.normal(size=x.shape) * 0.2 + (0 if "BatchRenorm_0" in str(path) else 0.4), x.dtype)
        if name == "var":
            return jnp.asarray(np.exp(rng.uniform(np.log(least), np.log(3), x.shape)), x.dtype)
        return x * 0 + 99_998 if name == "steps" else x

    return state.replace(
        params=jax.tree_util.tree_map_with_path(params, state.params),
        batch_stats=jax.tree_util.tree_map_with_path(stats, state.batch_stats),
    )


def exact_renorm() -> None:
    """Patches BatchRenorm to normalise by r/sigma_B and d as in the paper."""
    source = inspect.getsource(sbx.common.jax_layers.BatchRenorm)
    for old, new in (
        ("affine_mean = batch_mean - d * jnp.sqrt(batch_var) / r", "affine_mean = batch_mean - d * std / r"),
        ("affine_var = batch_var / (r**2)", "affine_var = (std / r) ** 2 - self.epsilon"),
    ):
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    exec(source, vars(sbx.common.jax_layers))  # noqa: S102  its own source, two lines mended
    sbx.crossq.policies.BatchRenorm = sbx.common.jax_layers.BatchRenorm  # type: ignore[misc]


def crossq_follow(draws: Arrays, noise: Arrays, shown: tuple[int, ...]) -> tuple[Arrays, dict[int, Arrays]]:
    model = CrossQ("MlpPolicy", Box(), policy_kwargs={"net_arch": [16, 16]}, batch_size=BATCH, policy_delay=3, seed=3)
    rng = np.random.default_rng(7)
    # Some of the critics' variances are so small that r and d are clipped, but not the
    # policy's: tanh(u) would be 1 in float32.
    qf, actor = stirred(model.policy.qf_state, rng, 0.003), stirred(model.policy.actor_state, rng, 0.5)
    alpha = model.ent_coef_state
    start = crossq_variables(qf, actor, alpha, moments=False)
    queue: list[np.ndarray] = []

    def sample(self: Any, seed: Any = None) -> jax.Array:
        return self.bijector.forward(self.distribution.loc + self.distribution.stddev() * queue.pop(0))

    TanhTransformedDistribution.sample = sample
    key, after = jax.random.PRNGKey(0), {}
    discounts = np.full(BATCH, model.gamma, np.float32)
    for i in range(max(shown)):
        queue.append(noise["next_noise"][i])
        qf, _, key = CrossQ.update_critic(
            actor, qf, alpha, draws["observations"][i], draws["actions"][i], draws["next"][i],
            draws["rewards"][i], draws["dones"][i], discounts, key,
        )  # fmt: skip
        if (i + 1) % model.policy_delay == 0:
            queue.append(noise["policy_noise"][i])
            actor, qf, alpha, _, _, key = CrossQ.update_actor_and_temperature(
                actor, qf, alpha, draws["observations"][i], model.target_entropy, key
            )
        assert not queue
        if i + 1 in shown:
            after[i + 1] = crossq_variables(qf, actor, alpha)
    return start, after


def crossq(noise: Arrays) -> dict[str, Any]:
    draws = minibatches(CROSSQ_UPDATES, 6)
    with jax.disable_jit():
        _, original = crossq_follow(draws, noise, CROSSQ_ORIGINAL)
        exact_renorm()
        start, exact = crossq_follow(draws, noise, CROSSQ_SHOWN)
    return {
        **draws,
        **{name: x[:CROSSQ_UPDATES] for name, x in noise.items()},
        "start": start,
        "exact": exact,
        "original": original,
    }


def write(name: str, golden: dict[str, Any]) -> None:
    for part in set(golden) - {"start", "exact", "original"}:
        golden[part] = [flat(x) for x in golden[part]]
    golden["start"] = {path: flat(x) for path, x in golden["start"].items()}
    for part in ("exact", "original"):
        golden[part] = {n: {path: flat(x) for path, x in all_of.items()} for n, all_of in golden[part].items()}
    target = Path(__file__).parent.parent / "agents/sac/testdata" / f"{name}.json"
    target.write_text(json.dumps(golden, separators=(",", ":")) + "\n")


def read_noise(path: str) -> Arrays:
    return {
        name: np.array(x, np.float32).reshape(-1, BATCH, ACT) for name, x in json.loads(Path(path).read_text()).items()
    }


def main() -> None:
    noise = read_noise(sys.argv[1])
    write("stable_baselines3", stable_baselines3(noise))
    write("crossq", crossq(noise))


if __name__ == "__main__":
    main()
