"""What a worker says, to people and to programs."""

from __future__ import annotations

import json

import pytest

from stein_env import logs


def test_text_names_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    logs.choose("text", child=False)("opened Hopper-v5 x 1", run="hop-1")
    logs.choose("auto", child=True)("forgot an idle client", run="")
    assert capsys.readouterr().err == (
        "stein_env: opened Hopper-v5 x 1 run=hop-1\nstein_env: forgot an idle client\n"
    )


def test_a_program_reads_json(capsys: pytest.CaptureFixture[str]) -> None:
    # Captured, so that standard error is no terminal.
    logs.choose("auto", child=False)('of "any"\nkind', run="hop-1")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    record = json.loads(lines[0])
    assert record.pop("time").endswith("+00:00")
    assert record == {"level": "INFO", "msg": 'of "any"\nkind', "run": "hop-1"}
