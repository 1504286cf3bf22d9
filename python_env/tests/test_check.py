"""The checker finds what is wrong, and only that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import probe_envs  # noqa: F401  registers probe/*
import pytest

from stein_env import check, patience
from stein_env import env_pb2 as pb


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "SPEED_SECONDS", 0.05)
    monkeypatch.setattr(check, "STEPS", 200)


def findings(env: str, **kwargs: Any) -> dict[str, check.Finding]:
    hello = pb.Hello(env=env, copies=1, kwargs_json=json.dumps(kwargs))
    found = list(check.check(hello))
    return {f.check: f for f in found}


@pytest.mark.parametrize("env", ["Walker2d-v5", "Pendulum-v1", "stein/MultiGoal-v0"])
def test_sound_environments_pass(env: str) -> None:
    found = findings(env)
    assert {"spaces", "limit", "answers", "seeding", "copies", "ends", "speed"} <= {
        *found
    }
    assert [f for f in found.values() if f.state == "FAIL"] == []


@pytest.mark.parametrize(
    ("rule", "where", "words"),
    [
        (
            "old reset",
            "spaces",
            "want (observation, info): it has the interface of Gym",
        ),
        ("old step", "answers", "step returned 4 values, want (observation, reward,"),
        ("nan", "answers", "observation[0] is nan"),
        ("text reward", "answers", "the reward is str 'much', want one number"),
        ("int end", "answers", "terminated is int 0, want a bool"),
        ("dtype", "answers", "observation of float64, the space says float32"),
        ("global random", "seeding", "differ at step 1: all randomness"),
        ("keeps state", "seeding", "it keeps state from earlier episodes"),
        ("shares state", "seeding", "differ at step 1"),
        ("changes action", "actions", "step modifies its action array"),
    ],
)
def test_careless_environments_fail(rule: str, where: str, words: str) -> None:
    found = findings("probe/Careless-v0", rule=rule)
    assert found[where].state == "FAIL", found
    assert words in found[where].detail


def test_an_environment_that_hangs_ends_the_check(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check, "STEP_SECONDS", 0.4)
    monkeypatch.setattr(patience, "NOTE_SECONDS", 0.1)
    found = findings("probe/Rude-v0", where="step", what="sleep")
    assert list(found)[-1] == "answers"
    assert found["answers"].state == "FAIL"
    assert "has not returned within 0.4 s (" in found["answers"].detail
    assert "probe_envs.py, line " in found["answers"].detail
    assert "stein_env: waiting for step 1 with action" in capfd.readouterr().err


def test_what_close_raises_is_a_warning_as_training_goes_on() -> None:
    found = findings("probe/Rude-v0", where="close", what="exit")
    assert found["close"].state == "warn"
    assert "SystemExit: no licence" in found["close"].detail
    assert "FAIL" not in [f.state for f in found.values()]


def test_interrupts_of_the_environment_are_findings() -> None:
    found = findings("probe/Rude-v0", where="step", what="interrupt")
    assert "raised KeyboardInterrupt (" in found["answers"].detail


def test_copies_that_share_state_only_within_an_episode() -> None:
    found = findings("probe/Careless-v0", rule="shares within")
    assert found["seeding"].state == "ok"
    assert found["copies"].state == "FAIL"
    assert "copies share something" in found["copies"].detail


def test_warnings() -> None:
    found = findings("probe/Careless-v0")
    assert found["limit"].state == "warn"
    assert findings("probe/Probe-v0", length=10**6)["ends"].state == "warn"
    same = findings("stein/MultiGoal-v0")["seeding"]
    assert (same.state, "every seed gives the same" in same.detail) == ("warn", True)


def test_both_ends_at_once_are_explained() -> None:
    ends = findings("probe/Probe-v0", end="both")["ends"]
    assert "both at once counts as terminated" in ends.detail


def test_seeds_that_training_hands_out_are_tried() -> None:
    assert findings("probe/Strange-v0", seeds="31 bits")["seeding"].state == "ok"
    seeding = findings("probe/Strange-v0", seeds="16 bits")["seeding"]
    assert seeding.state == "FAIL"
    assert "reset(seed=2147483647) raised ValueError" in seeding.detail


def test_odd_rewards_are_told_as_training_takes_them() -> None:
    found = findings("probe/Strange-v0", reward="array1")
    assert found["answers"].state == "ok"
    assert found["reward"].state == "warn"
    assert "array of float64 of shape (1,)" in found["reward"].detail
    assert found["actions"].state == "ok"
    two = findings("probe/Strange-v0", reward="two")["answers"]
    assert (two.state, "the reward is an array" in two.detail) == ("FAIL", True)


def test_printing_environments_lose_no_finding() -> None:
    talks = json.dumps({"talks": True})
    env = "probe_envs:probe/Strange-v0"
    done = subprocess.run(
        [sys.executable, "-m", "stein_env.check", "--json", "--kwargs", talks, env],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([".", "tests"])},
        capture_output=True,
        text=True,
        check=True,
    )
    found = {json.loads(line)["check"] for line in done.stdout.splitlines()}
    assert {"spaces", "answers", "seeding", "ends", "speed"} <= found
    assert "in the way" in done.stderr


def test_command_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert check.main(["--json", "--", "Pendulum-v1"]) == 0
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert {line["state"] for line in lines} == {"ok"}
    assert check.main(["Walker2dv5"]) == 1
    assert "did you mean Walker2d-v5" in capfd.readouterr().out
    assert check.main(["--kwargs", '{"g": -1}', "Pendulum-v1"]) == 0
