"""Writes grafana/boards/stein.json: python deploy/board.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SOURCE = {"type": "prometheus", "uid": "prometheus"}
RUN = '{run=~"$run"}'
POLICY = '{policy=~"$policy"}'


def quantiles(metric: str, selector: str, by: str) -> list[tuple[str, str]]:
    rate = f"sum by (le, {by}) (rate({metric}_bucket{selector}[1m]))"
    return [
        (f"histogram_quantile({q}, {rate})", f"{{{{{by}}}}} p{q * 100:g}")
        for q in (0.5, 0.99)
    ]


# Rows with their panels: title, unit, queries with their legends.
ROWS: list[tuple[str, list[tuple[str, str, list[tuple[str, str]]]]]] = [
    (
        "Learning",
        [
            (
                "Return",
                "short",
                [
                    (f"stein_rollout_ep_rew_mean{RUN}", "{{run}} training"),
                    (f"stein_eval_mean_reward{RUN}", "{{run}} greedy"),
                ],
            ),
            (
                "Steps and updates a second",
                "short",
                [
                    (f"rate(stein_train_steps_total{RUN}[1m])", "{{run}} steps"),
                    (f"rate(stein_train_updates_total{RUN}[1m])", "{{run}} updates"),
                ],
            ),
            (
                "Progress",
                "percentunit",
                [
                    (
                        f"stein_train_steps_total{RUN} / stein_train_target_steps{RUN}",
                        "{{run}}",
                    )
                ],
            ),
            (
                "Since the last checkpoint",
                "s",
                [
                    (
                        f"time() - stein_train_checkpoint_timestamp_seconds{RUN}",
                        "{{run}}",
                    )
                ],
            ),
            (
                "Losses",
                "short",
                [
                    (f"stein_train_critic_loss{RUN}", "{{run}} critic"),
                    (f"stein_train_actor_loss{RUN}", "{{run}} actor"),
                ],
            ),
            (
                "Entropy and temperature",
                "short",
                [
                    (f"stein_train_entropy{RUN}", "{{run}} entropy"),
                    (f"stein_train_ent_coef{RUN}", "{{run}} temperature"),
                ],
            ),
        ],
    ),
    (
        "Sampler (particle policies)",
        [
            (
                "Step size: used and bound",
                "short",
                [
                    (f"stein_policy_epsilon_used{RUN}", "{{run}} used"),
                    (f"stein_policy_epsilon_bound{RUN}", "{{run}} bound"),
                ],
            ),
            (
                "Share of states where the bound limits the step size",
                "percentunit",
                [(f"stein_policy_bound_share{RUN}", "{{run}}")],
            ),
            ("Bandwidth", "short", [(f"stein_policy_sigma{RUN}", "{{run}}")]),
            (
                "Stein identity",
                "short",
                [(f"stein_policy_stein_identity{RUN}", "{{run}}")],
            ),
        ],
    ),
    (
        "Simulators",
        [
            (
                "Waiting for a step",
                "s",
                quantiles(
                    "stein_bridge_wait_seconds",
                    '{run=~"$run", for="training"}',
                    "bridge",
                ),
            ),
            (
                "From action to outcome",
                "s",
                quantiles(
                    "stein_bridge_step_seconds",
                    '{run=~"$run", for="training"}',
                    "bridge",
                ),
            ),
            (
                "Faults",
                "short",
                [
                    (
                        f"stein_bridge_worker_restarts_total{RUN}",
                        "{{for}} {{bridge}} restarts",
                    ),
                    (
                        f"stein_bridge_lost_steps_total{RUN}",
                        "{{for}} {{bridge}} lost steps",
                    ),
                    (f"stein_bridge_garbage_total{RUN}", "{{for}} {{bridge}} garbage"),
                ],
            ),
        ],
    ),
    (
        "Serving",
        [
            (
                "Requests a second",
                "reqps",
                [
                    (
                        "sum by (policy, code)"
                        + f" (rate(stein_serve_requests_total{POLICY}[1m]))",
                        "{{policy}} {{code}}",
                    )
                ],
            ),
            (
                "Latency",
                "s",
                quantiles("stein_serve_request_seconds", POLICY, "policy"),
            ),
            (
                "Waiting observations",
                "short",
                [(f"stein_serve_queue_rows{POLICY}", "{{policy}}")],
            ),
            (
                "Observations in a batch",
                "short",
                [
                    (
                        f"rate(stein_serve_batch_rows_sum{POLICY}[1m])"
                        + f" / rate(stein_serve_batch_rows_count{POLICY}[1m])",
                        "{{policy}}",
                    )
                ],
            ),
            (
                "Checkpoint that answers",
                "short",
                [(f"stein_serve_checkpoint_step{POLICY}", "{{policy}}")],
            ),
        ],
    ),
    (
        "Processes",
        [
            (
                "Memory",
                "bytes",
                [
                    (
                        'process_resident_memory_bytes{job=~"train|serve"}',
                        "{{job}}",
                    )
                ],
            ),
            (
                "Goroutines",
                "short",
                [('go_goroutines{job=~"train|serve"}', "{{job}}")],
            ),
        ],
    ),
]


def panel(
    number: int, title: str, unit: str, queries: list[tuple[str, str]], x: int, y: int
) -> dict[str, Any]:
    return {
        "id": number,
        "type": "timeseries",
        "title": title,
        "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": 8, "h": 8},
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
        "options": {"legend": {"showLegend": True}, "tooltip": {"mode": "multi"}},
        "targets": [
            {
                "refId": chr(ord("A") + i),
                "datasource": SOURCE,
                "expr": expr,
                "legendFormat": legend,
            }
            for i, (expr, legend) in enumerate(queries)
        ],
    }


def variable(name: str, metric: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": SOURCE,
        "query": f"label_values({metric}, {name})",
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def board() -> dict[str, Any]:
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in ROWS:
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": title,
                "collapsed": False,
                "gridPos": {"x": 0, "y": y, "w": 24, "h": 1},
                "panels": [],
            }
        )
        y += 1
        for i, (name, unit, queries) in enumerate(row):
            place = (8 * (i % 3), y + 8 * (i // 3))
            panels.append(panel(len(panels) + 1, name, unit, queries, *place))
        y += 8 * ((len(row) + 2) // 3)
    return {
        "uid": "stein",
        "title": "Stein",
        "schemaVersion": 41,
        "version": 1,
        "editable": False,
        "refresh": "5s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [
                variable("run", "stein_train_info"),
                variable("policy", "stein_serve_checkpoint_step"),
            ]
        },
        "panels": panels,
    }


if __name__ == "__main__":
    path = Path(__file__).parent / "grafana/boards/stein.json"
    path.write_text(json.dumps(board(), indent=1) + "\n")
