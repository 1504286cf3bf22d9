"""The policy-update workload on Stein, `svgd` and JAX, and a step on images."""

from __future__ import annotations

import functools

import measure

FOLDER = measure.ROOT / "bench/sampler"
STEIN = measure.ROOT / "bench/out/sampler-bench"
# Timed updates per round, by M: about a second each or more.
UPDATES = {
    10: {"stein": 20, "svgd": 10, "jax": 20},
    64: {"stein": 4, "svgd": 1, "jax": 3},
}
# Required speed-up over each peer; JAX has no target at M = 64.
TARGETS = {10: {"svgd": 1.8, "jax": 1.0}, 64: {"svgd": 8.0, "jax": None}}
IMAGE_TARGET = 1.2  # relative to the two products
IMAGE_STEPS = {
    "svgd_ms": "SVGD, no density",
    "p_svgd_ms": "P-SVGD's density",
    "trace_ms": "MET-SVGD, trace term",
    "probe_bound_ms": "MET-SVGD, trace term and bound by probes, as image presets have it",
    "bound_ms": "MET-SVGD, trace term and spectral bound",
}


def one(who: str, particles: int) -> measure.Record:
    sizes = ["--particles", str(particles), "--reps", str(UPDATES[particles][who])]
    sizes += ["--warmup", "1" if particles > 10 else "2"]
    if who == "stein":
        return measure.run([STEIN, "update", *sizes])
    return measure.run([measure.PYTHON, f"{who}_peer.py", *sizes], cwd=FOLDER)


def compare(rounds: int) -> str:
    return policy_update(rounds) + "\n\n" + image(rounds)


def policy_update(rounds: int) -> str:
    rows = []
    for m, updates in UPDATES.items():
        got = measure.interleave(
            rounds, {f"{who} M={m}": functools.partial(one, who, m) for who in updates}
        )
        ms = {who: measure.median(r, "median_ms") for who, r in zip(updates, got.values(), strict=True)}
        rows.append(
            [f"M = {m}"]
            + [f"{v:.0f} ms" for v in ms.values()]
            + [
                measure.verdict(ms[peer] / ms["stein"], target, named=True)
                for peer, target in TARGETS[m].items()
            ]
            + [f"{measure.peak(r):.0f} MB" for r in got.values()]
        )
    header = ["update", "Stein", "svgd", "JAX", "svgd / Stein", "JAX / Stein"]
    return "Policy update, forward and backward (B = 100, D = 6, L = 3):\n\n" + measure.table(
        [*header, "memory: Stein", "svgd", "JAX"], rows
    )


def image(rounds: int) -> str:
    part = functools.partial(measure.run, [STEIN, "image", "--reps", "10"])
    (got,) = measure.interleave(rounds, {"images": part}).values()
    products = measure.median(got, "products_ms")
    rows = [["the two products", f"{products:.2f} ms", ""]]
    for key, name in IMAGE_STEPS.items():
        ms = measure.median(got, key)
        share = ms / products
        rows.append([name, f"{ms:.2f} ms", f"{share:.2f} ({'met' if share <= IMAGE_TARGET else 'missed'})"])
    rows.append(["drawing a step's probes", f"{measure.median(got, 'probe_ms'):.2f} ms", ""])
    return (
        "A step on images (M = 64, D = 3072), score, probes and their Hessian products given, beside\n"
        "[64×3072]·[3072×64] and [64×64]·[64×3072] in the same engine:\n\n"
        + measure.table(["step", "time", f"of the products (≤ {IMAGE_TARGET})"], rows)
    )
