"""One update of the image model in plain JAX: the network, sampler and losses of the
configuration ebm/met-sigma-eps, size tiny or small, in one jitted function.

XLA's own convolutions, Hessian-vector products by forward over reverse, sums over pairs
as products of Gram matrices, Tr JᵀJ by the probe: an implementation optimised for speed.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp

Tree = dict[str, Any]

PARTICLES = BATCH = 32
STEPS = 5
CHANNELS = (32, 64)
HIDDEN = 128  # of small
DATA_NOISE, AVERAGE, CLIP = 0.03, 0.99, 10.0
ENERGY_LR, SAMPLER_LR = 3e-4, 3e-3
SIGMA, EPSILON = (10.0, 0.1, 100.0), (0.5, 1e-4, 100.0)  # start, least, most
STD = (0.01, 2.0)


def conv(x: jax.Array, w: jax.Array) -> jax.Array:
    return jax.lax.conv_general_dilated(
        x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def f(params: Tree, x: jax.Array) -> jax.Array:
    n, h, w, c = x.shape
    x = x.reshape(n, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5)
    x = x.reshape(n, h // 2, w // 2, 4 * c)
    x = jax.nn.swish(conv(x, params["first"]))
    n, h, w, c = x.shape
    x = x.reshape(n, h // 2, 2, w // 2, 2, c).mean((2, 4))
    x = jax.nn.swish(conv(x, params["second"]))
    x = x.reshape(n, -1)
    if "hidden" in params:
        x = jax.nn.swish(x @ params["hidden"])
    return (x @ params["head"])[:, 0]


def clamped(log: jax.Array, limits: tuple[float, float, float]) -> jax.Array:
    return jnp.exp(jnp.clip(log, math.log(limits[1]), math.log(limits[2])))


def svgd_step(log_p, x, log_q, v, sigma, epsilon):  # noqa: ANN001, ANN201
    """One step of MET-SVGD on particles and a probe, [M, D]."""
    m, d = x.shape
    s, hv = jax.jvp(lambda x: jax.grad(lambda x: log_p(x).sum())(x), (x,), (v,))
    gamma = 1 / (2 * sigma**2 + 1e-8)
    off = 1 - jnp.eye(m)
    y = x - jax.lax.stop_gradient(x[:1])
    gram = y @ y.T
    own = jnp.diag(gram)
    sq = jnp.maximum(own[:, None] + own[None] - 2 * gram, 0) * off
    k = jnp.exp(-gamma * sq)
    dk, ddk = -gamma * k, gamma**2 * k

    repulse = dk.sum(1, keepdims=True) * y - dk @ y
    phi = (k @ s - 2 * repulse) / m
    sx = s @ y.T  # s_j·x_i at [j, i]
    along = sx.T - jnp.diag(sx)[None]  # s_j·r_ij at [i, j]
    trace = (off * (2 * dk * along - 2 * d * dk - 4 * sq * ddk)).sum(1)
    trace = (trace + (v * hv).sum(1)) / m

    # Gradients treat the bound as a constant.
    y0, s0, hv0, dk0, ddk0, trace0 = jax.lax.stop_gradient(
        (y, s, hv, dk * off, ddk * off, trace)
    )
    vr = (v * y0).sum(1, keepdims=True) - v @ y0.T  # v_i·r_ij
    curve = -4 * ddk0 * vr
    jv = (2 * dk0 * vr) @ s0 + curve.sum(1, keepdims=True) * y0 - curve @ y0
    jv = (jv - 2 * dk0.sum(1, keepdims=True) * v + hv0) / m
    mean = jnp.abs(trace0) / d
    spread = jnp.abs((jv**2).sum(1) / d - mean**2)
    bound = (0.9 / (jnp.sqrt(spread * (d - 1)) + mean + 1e-5)).min()
    leak = jnp.maximum(bound - 1e-5 * (epsilon - bound), 0)
    epsilon = jnp.where(epsilon >= bound, leak, epsilon)
    return x + epsilon * phi, log_q - epsilon * trace


def sample(sampler: Tree, log_p, key):  # noqa: ANN001, ANN201
    mean, log_std = sampler["mean"], jnp.clip(sampler["log_std"], *map(math.log, STD))
    z = jax.random.normal(key, (PARTICLES, mean.shape[-1]))
    x = mean + jnp.exp(log_std) * z
    log_q = (-0.5 * z**2 - log_std - 0.5 * math.log(2 * math.pi)).sum(-1)
    for i in range(STEPS):
        v = jax.random.rademacher(jax.random.fold_in(key, i), x.shape, x.dtype)
        sigma, epsilon = (
            clamped(sampler["sigma"], SIGMA),
            clamped(sampler["epsilon"][i], EPSILON),
        )
        x, log_q = svgd_step(log_p, x, log_q, v, sigma, epsilon)
    return x, log_q


def adam(params: Tree, grads: Tree, state: Tree, count, rate: float):  # noqa: ANN001, ANN201
    norm = jnp.sqrt(sum((g**2).sum() for g in jax.tree.leaves(grads)))
    grads = jax.tree.map(
        lambda g: g * jnp.minimum(1, CLIP / jnp.maximum(norm, 1e-6)), grads
    )
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, state["first"], grads)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g**2, state["second"], grads)
    a, b = 1 - 0.9**count, 1 - 0.999**count
    params = jax.tree.map(
        lambda p, m, v: p - rate * (m / a) / (jnp.sqrt(v / b) + 1e-8),
        params,
        first,
        second,
    )
    return params, {"first": first, "second": second}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--reps", type=int, default=5)
    p.add_argument("--warmup", type=int, default=2)
    p.add_argument("--side", type=int, default=28)
    p.add_argument("--size", choices=("tiny", "small"), default="tiny")
    args = p.parse_args()
    side = args.side
    key = jax.random.key(0)

    def normal(i: int, gain: float, *shape: int) -> jax.Array:
        fan = math.prod(shape[:-1])
        return (
            gain / math.sqrt(fan) * jax.random.normal(jax.random.fold_in(key, i), shape)
        )

    features = (side // 4) ** 2 * CHANNELS[1]
    energy = {
        "first": normal(1, math.sqrt(2), 3, 3, 4, CHANNELS[0]),
        "second": normal(2, math.sqrt(2), 3, 3, *CHANNELS),
        "head": normal(3, 1, features, 1),
    }
    if args.size == "small":
        energy["hidden"] = normal(4, math.sqrt(2), features, HIDDEN)
        energy["head"] = normal(3, 1, HIDDEN, 1)
    d = side * side
    sampler = {
        "mean": jnp.zeros(d),
        "log_std": jnp.full(d, math.log(0.5)),
        "sigma": jnp.log(SIGMA[0]),
        "epsilon": jnp.full(STEPS, math.log(EPSILON[0])),
    }

    def zeros(tree: Tree) -> Tree:
        return {
            name: jax.tree.map(jnp.zeros_like, tree) for name in ("first", "second")
        }

    @jax.jit
    def step(energy, average, sampler, states, data, key, count):  # noqa: ANN001, ANN202
        def log_p(x):  # noqa: ANN001, ANN202
            return f(energy, x.reshape(-1, side, side, 1))

        def sampler_loss(sampler):  # noqa: ANN001, ANN202
            x, log_q = sample(sampler, log_p, key)
            # the final score is one of an update's figures
            norm = jnp.linalg.norm(
                jax.grad(lambda x: log_p(x).sum())(x), axis=-1
            ).mean()
            return (log_q - log_p(x)).mean(), (x, norm)

        (loss, (x, norm)), of_sampler = jax.value_and_grad(sampler_loss, has_aux=True)(
            sampler
        )
        noisy = data + DATA_NOISE * jax.random.normal(
            jax.random.fold_in(key, 99), data.shape
        )

        def energy_loss(energy):  # noqa: ANN001, ANN202
            return (
                f(energy, x.reshape(-1, side, side, 1)).mean() - f(energy, noisy).mean()
            )

        of_energy = jax.grad(energy_loss)(energy)
        energy, first = adam(energy, of_energy, states[0], count, ENERGY_LR)
        sampler, second = adam(sampler, of_sampler, states[1], count, SAMPLER_LR)
        average = jax.tree.map(
            lambda a, w: AVERAGE * a + (1 - AVERAGE) * w, average, energy
        )
        return energy, average, sampler, (first, second), loss, norm

    average, states = energy, (zeros(energy), zeros(sampler))
    data = jax.random.uniform(key, (BATCH, side, side, 1), minval=-1)
    seconds, loss = [], 0.0
    for i in range(args.warmup + args.reps):
        start = time.perf_counter()
        energy, average, sampler, states, value, _ = step(
            energy, average, sampler, states, data, jax.random.fold_in(key, i), i + 1.0
        )
        jax.block_until_ready(energy)
        loss = float(value)
        if i >= args.warmup:
            seconds.append(time.perf_counter() - start)
    if loss != loss:
        raise SystemExit("jax: the loss is not a number")
    print(
        json.dumps(
            {
                "name": "jax",
                "ms": [round(1e3 * s, 3) for s in seconds],
                "median_ms": 1e3 * statistics.median(seconds),
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "loss": loss,
            }
        )
    )


if __name__ == "__main__":
    main()
