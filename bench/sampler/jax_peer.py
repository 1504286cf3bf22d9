"""The workload in plain JAX: one jitted function, Tr JᵀJ by the D×D Jacobians."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import workload as w

Params = dict[str, Any]


def critic(layers: list[tuple[jax.Array, jax.Array]], row: jax.Array) -> jax.Array:
    for i, (weight, bias) in enumerate(layers):
        row = row @ weight + bias
        if i < len(layers) - 1:
            row = jax.nn.elu(row)
    return row[..., 0]


def svgd_step(log_p, x, log_q, v, sigma, epsilon):  # noqa: ANN001, ANN201
    """One step of MET-SVGD: x and the probe v [B, M, D], log_q [B, M]."""
    m, d = x.shape[1:]

    def score_of(x):  # noqa: ANN001, ANN202
        return jax.grad(lambda x: log_p(x).sum())(x)

    s, hv = jax.jvp(score_of, (x,), (v,))

    gamma = 1 / (2 * sigma**2 + 1e-8)
    r = x[:, :, None] - x[:, None]  # [B, M, M, D]
    sq = jnp.square(r).sum(-1)
    k = jnp.exp(-gamma * sq)
    dk, ddk = -gamma * k, gamma**2 * k

    phi = (k @ s - (2 * dk[..., None] * r).sum(2)) / m
    # like the reference, the kernel part includes the particle itself
    drift = jnp.einsum("bjd,bijd->bij", s, r) * 2 * dk
    trace = ((drift - 2 * d * dk - 4 * sq * ddk).sum(2) + (v * hv).sum(-1)) / m

    # Gradients treat the bound as a constant.
    s0, hv0, r0, dk0, ddk0, trace0 = jax.lax.stop_gradient((s, hv, r, dk, ddk, trace))
    a = jnp.einsum("bij,bjd,bije->bide", 2 * dk0, s0, r0)
    a = a - jnp.einsum("bij,bijd,bije->bide", 4 * ddk0, r0, r0)
    a = (a - 2 * dk0.sum(2)[..., None, None] * jnp.eye(d)) / m  # [B, M, D, D]
    jac_sq = jnp.square(a).sum((-2, -1))
    jac_sq += 2 / m * jnp.einsum("bid,bide,bie->bi", v, a, hv0)
    jac_sq += jnp.square(hv0).sum(-1) / m**2
    mean = jnp.abs(trace0) / d
    spread = jnp.abs(jac_sq / d - mean**2)
    bound = (w.BOUND_ALPHA / (jnp.sqrt(spread * (d - 1)) + mean + 1e-5)).min(-1)

    epsilon = jnp.minimum(epsilon, bound)  # [B]
    return x + epsilon[:, None, None] * phi, log_q - epsilon[:, None] * trace


def sample(params: Params, log_p, key, particles: int):  # noqa: ANN001, ANN201
    mean, log_std = params["mean"][:, None], params["log_std"][:, None]
    key, sub = jax.random.split(key)
    z = jax.random.normal(sub, (mean.shape[0], particles, mean.shape[-1]))
    x = mean + jnp.exp(log_std) * z
    log_q = (-0.5 * z**2 - log_std - 0.5 * math.log(2 * math.pi)).sum(-1)
    for sub in jax.random.split(key, w.STEPS):
        sigma, epsilon = jnp.exp(params["log_sigma"]), jnp.exp(params["log_epsilon"])
        v = jax.random.rademacher(sub, x.shape, x.dtype)
        x, log_q = svgd_step(log_p, x, log_q, v, sigma, epsilon)
    return x, log_q


def main() -> None:
    args = w.arguments(__doc__)
    key = jax.random.key(0)

    def layer(i: int, rows: int, columns: int) -> tuple[jax.Array, jax.Array]:
        limit = 1 / math.sqrt(rows)
        k1, k2 = jax.random.split(jax.random.fold_in(key, i))
        uniform = jax.random.uniform
        return uniform(k1, (rows, columns), minval=-limit, maxval=limit), uniform(
            k2, (columns,), minval=-limit, maxval=limit
        )

    sizes = [w.OBS_DIM + w.ACTION_DIM, w.HIDDEN, w.HIDDEN, 1]
    critics = [
        [layer(10 * c + i, *pair) for i, pair in enumerate(zip(sizes, sizes[1:], strict=False))]
        for c in range(2)
    ]
    obs = jax.random.normal(jax.random.fold_in(key, 99), (w.STATES, w.OBS_DIM))

    @jax.jit
    def value_and_grad(params, critics, obs, key):  # noqa: ANN001, ANN202
        def log_p(x):  # noqa: ANN001, ANN202
            wide = jnp.broadcast_to(obs[:, None], (*x.shape[:2], w.OBS_DIM))
            row = jnp.concatenate([wide, x], -1)
            return jnp.minimum(*(critic(c, row) for c in critics)) / w.ALPHA

        def loss(params):  # noqa: ANN001, ANN202
            x, log_q = sample(params, log_p, key, args.particles)
            return (log_q - log_p(x)).mean()

        return jax.value_and_grad(loss)(params)

    params = {
        "mean": jnp.zeros((w.STATES, w.ACTION_DIM)),
        "log_std": jnp.full((w.STATES, w.ACTION_DIM), -1.0),
        "log_sigma": jnp.log(w.BANDWIDTH),
        "log_epsilon": jnp.log(w.STEP_SIZE),
    }
    count = iter(range(1 << 30))

    def update() -> float:
        value, grads = value_and_grad(params, critics, obs, jax.random.fold_in(key, next(count)))
        jax.block_until_ready(grads)
        return float(value)

    w.measure("jax", args, update)


if __name__ == "__main__":
    main()
