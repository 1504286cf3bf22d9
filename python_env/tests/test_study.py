"""Optuna's storage in folders of uncommon names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna")

from stein_env.cluster.study import Tuner


@pytest.mark.parametrize("name", ["50% of #3 a?b=c", "%2e", "größe & co@x:y", "a'b\"c"])
def test_a_study_is_in_its_own_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    spec: dict[str, Any] = {
        "storage": "",
        "file": str(folder / "study.db"),
        "name": name,
        "maximize": True,
        "space": {"x": {"choices": [1, 2]}},
        "sampler": "random",
        "sampler_options": {"seed": 1},
        "pruner": "none",
        "pruner_options": {},
    }
    first = Tuner()
    assert first.open(spec, lambda _: None)["asked"] == 0
    first.ask(None, lambda _: None)
    assert (folder / "study.db").stat().st_size > 0
    assert sorted(tmp_path.rglob("*.db*")) == [folder / "study.db"]
    assert Tuner().open(spec, lambda _: None)["asked"] == 1
