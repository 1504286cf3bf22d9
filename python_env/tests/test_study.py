"""Optuna's studies: folders of uncommon names, and studies that go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna")

from stein_env.cluster.lines import FailedError
from stein_env.cluster.study import Tuner


@pytest.mark.parametrize("name", ["50% of #3 a?b=c", "%2e", "größe & co@x:y", "a'b\"c"])
def test_a_study_is_in_its_own_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    spec = _spec(folder)
    first = Tuner()
    assert first.open(spec, lambda _: None)["asked"] == 0
    first.ask(None, lambda _: None)
    assert (folder / "study.db").stat().st_size > 0
    assert sorted(tmp_path.rglob("*.db*")) == [folder / "study.db"]
    assert Tuner().open(spec, lambda _: None)["asked"] == 1


def test_a_study_goes_on_in_a_renamed_folder(tmp_path: Path) -> None:
    folder = tmp_path / "first"
    folder.mkdir()
    tuner = Tuner()
    tuner.open(_spec(folder), lambda _: None)
    tuner.ask(None, lambda _: None)
    again = folder.rename(tmp_path / "second")
    assert Tuner().open(_spec(again), lambda _: None)["asked"] == 1


@pytest.mark.parametrize("content", [b"garbage" * 1000, None])
def test_a_damaged_study_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "study.db"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    with pytest.raises(FailedError, match=r"study\.db: .*; restore it, or choose"):
        Tuner().open(_spec(tmp_path), lambda _: None)


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_continued_study_proposes_something_new(tmp_path: Path, sampler: str) -> None:
    spec = _spec(tmp_path) | {
        "space": {"x": {"low": 0.0, "high": 1.0, "log": False, "whole": False}},
        "sampler": sampler,
    }
    proposed = []
    for _ in range(3):
        tuner = Tuner()
        tuner.open(spec, lambda _: None)
        proposed += [tuner.ask(None, lambda _: None)["params"]["x"] for _ in range(2)]
    assert len(set(proposed)) == 6


def _spec(folder: Path) -> dict[str, Any]:
    return {
        "storage": "",
        "file": str(folder / "study.db"),
        "name": folder.name,
        "maximize": True,
        "space": {"x": {"choices": [1, 2]}},
        "sampler": "random",
        "sampler_options": {"seed": 1},
        "pruner": "none",
        "pruner_options": {},
    }
