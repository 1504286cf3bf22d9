"""Joining a Ray cluster whose head is busy."""

from __future__ import annotations

from typing import Any

import pytest
import ray

from stein_env.cluster import driver
from stein_env.cluster.lines import FailedError

BUSY = "Starting Ray client server failed. See ray_client_server_23000.err for logs."


@pytest.mark.parametrize(
    ("failures", "tries"),
    [([], 1), ([BUSY], 2), ([BUSY, BUSY], 3), ([BUSY] * 3, None), (["refused"], None)],
)
def test_join(
    monkeypatch: pytest.MonkeyPatch, failures: list[str], tries: int | None
) -> None:
    left, asked = list(failures), []

    def init(**options: Any) -> None:
        asked.append(options)
        if left:
            raise ConnectionAbortedError(left.pop(0))

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setattr(driver, "JOINING_SECONDS", 0.0)
    if tries is None:
        with pytest.raises(FailedError, match="no Ray cluster at ray://head"):
            driver.join("ray://head", {})
        return
    driver.join("ray://head", {"log_to_driver": False})
    assert len(asked) == tries
    assert asked[-1] == {"address": "ray://head", "log_to_driver": False}
