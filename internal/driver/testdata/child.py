"""A driver for the tests: it answers as those of Ray and Optuna do."""

import os
import sys
import time

from stein_env.cluster.lines import FailedError, Lines


def echo(spec, _tell):
    sys.stdout.write(f"echoing {spec}\n")  # as a library would, in one piece
    return spec


def count(spec, tell):
    for i in range(spec["to"]):
        tell({"at": i})
    return {"counted": spec["to"]}


def refuse(_spec, _tell):
    raise FailedError("no cluster at localhost:1")


def stumble(_spec, _tell):
    raise ValueError("the study\nhas no trials")


def sleep(spec, _tell):
    time.sleep(spec["seconds"])
    return {"slept": spec["seconds"]}


def die(_spec, _tell):
    print("MemoryError: out of paper", file=sys.stderr, flush=True)
    os._exit(3)


Lines().serve(
    {
        "echo": echo,
        "count": count,
        "refuse": refuse,
        "stumble": stumble,
        "sleep": sleep,
        "die": die,
    }
)
