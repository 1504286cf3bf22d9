"""``python -m stein_env.cluster.driver``: runs stein's requests on a Ray cluster."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import ray

from stein_env.cluster import simulators, storage, trial
from stein_env.cluster.lines import FailedError, Lines, Tell, one_line

# Runs on the head node, which a sweep depends on anyway.
ON_HEAD = {"node:__internal_head__": 0.001}

# Retries: Ray may place a simulator on a node before it notices that the node is dead.
PLACINGS = 5
PLACING_SECONDS = 3.0
JOININGS = 3
JOINING_SECONDS = 2.0


def join(address: str, options: dict[str, Any]) -> None:
    """Connect to a cluster.

    Ray's head starts a process for each client, and gives up when that takes long on a
    busy machine: asking again is enough.
    """
    for attempt in range(JOININGS):
        try:
            ray.init(address=address, **options)
            return
        except Exception as e:
            last = attempt == JOININGS - 1
            if last or "Starting Ray client server failed" not in str(e):
                raise FailedError(f"no Ray cluster at {address}: {one_line(e)}") from e
            ray.shutdown()
            time.sleep(JOINING_SECONDS)


class Driver:
    """The requests of stein."""

    def __init__(self) -> None:
        self._board: Any = None
        self._lock = threading.Lock()
        self._tellers: dict[int, Tell] = {}
        self._mirrors: dict[int, Path] = {}
        self._tasks: dict[int, Any] = {}
        self._simulators: dict[int, Any] = {}

    def connect(self, spec: Any, _tell: Tell) -> Any:
        """Join a cluster or start a local one, and set up the nodes' environment."""
        options: dict[str, Any] = {"runtime_env": spec.get("runtime_env") or {}}
        address = spec["address"]
        if address == "local":
            options |= {
                "num_cpus": spec.get("cpus"),
                "num_gpus": spec.get("gpus"),
                "include_dashboard": False,
            }
        if not address.startswith("ray://"):
            options |= {"log_to_driver": False, "logging_level": "warning"}
        join(address, options)
        if spec.get("board"):
            board = ray.remote(trial.Board)
            self._board = board.options(num_cpus=0, resources=ON_HEAD).remote()
            ray.get(self._board.post.remote(0, {}))  # wait until it exists
            threading.Thread(target=self._read_board, daemon=True).start()
        nodes: Any = ray.nodes()  # type: ignore[no-untyped-call]
        return {"nodes": sum(1 for n in nodes if n["Alive"])}

    def _read_board(self) -> None:
        while True:
            for item in ray.get(self._board.take.remote()):
                with self._lock:
                    tell = self._tellers.get(item["id"])
                    mirror = self._mirrors.get(item["id"])
                news = item["news"]
                for name, (offset, text) in news.pop("files", {}).items():
                    if mirror:
                        _write(mirror / name, offset, text)
                if tell and news:
                    tell(news)

    def run(self, spec: Any, tell: Tell) -> Any:
        """Run a trial on some node and wait for its end."""
        number = spec["number"]
        task = ray.remote(trial.run_trial).options(
            num_cpus=spec["cpus"],
            num_gpus=spec["gpus"],
            max_retries=0,
            scheduling_strategy="SPREAD",
            name=f"stein {spec['trial']}",
        )
        with self._lock:
            self._tellers[number] = tell
            if spec.get("storage"):
                self._mirrors[number] = Path(spec["mirror"])
            self._tasks[number] = task.remote(spec, number, self._board)
        try:
            return ray.get(self._tasks[number])
        except ray.exceptions.TaskCancelledError:
            return {"code": 0, "stdout": '{"interrupted": true}', "stderr": ""}
        except ray.exceptions.RayTaskError as e:
            return {"code": 1, "stdout": "", "stderr": one_line(e.cause or e)}
        except ray.exceptions.RayError as e:
            return {"code": 1, "stdout": "", "stderr": _brief(e), "lost": True}
        finally:
            with self._lock:
                for by_number in (self._tellers, self._mirrors, self._tasks):
                    by_number.pop(number, None)

    def stop(self, spec: Any, _tell: Tell) -> Any:
        """Tell a trial to write a checkpoint and end; a waiting one does not start."""
        with self._lock:
            task = self._tasks.get(spec["number"])
        if task is None:
            return None
        if spec["started"]:
            ray.get(self._board.stop.remote(spec["number"]))
        else:
            ray.get(self._board.stop.remote(spec["number"]))
            ray.cancel(task)
        return None

    def pull(self, spec: Any, _tell: Tell) -> Any:
        """Copy a run from storage to this machine."""
        return {"found": storage.pull(spec["url"], Path(spec["folder"]))}

    def place(self, spec: Any, _tell: Tell) -> Any:
        """Start a simulator on some node and exchange public keys."""
        name = spec["name"]
        old = self._simulators.pop(name, None)
        if old is not None:
            ray.kill(old)
        host = ray.remote(simulators.Simulator).options(
            num_cpus=spec["cpus"], scheduling_strategy="SPREAD", max_restarts=0
        )
        end = time.monotonic() + spec["seconds"]
        for left in reversed(range(PLACINGS)):
            actor: Any = host.remote(spec["client"])
            try:
                where = ray.get(
                    actor.where.remote(), timeout=max(0.0, end - time.monotonic())
                )
                break
            except ray.exceptions.GetTimeoutError as e:
                ray.kill(actor)
                raise FailedError(
                    f"the cluster had no free resources for simulator {name} within"
                    f" {spec['seconds']:.0f} s: it needs {spec['cpus']} CPUs"
                ) from e
            except ray.exceptions.RayActorError:
                if not left:
                    raise
                time.sleep(PLACING_SECONDS)
        self._simulators[name] = actor
        return where


def _write(path: Path, offset: int, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("r+b" if path.exists() else "wb") as f:
        f.truncate(offset)
        f.seek(offset)
        f.write(text.encode())


def _brief(e: Exception) -> str:
    first = str(e).strip().splitlines()
    return f"{type(e).__name__}: {first[0] if first else 'a node was lost'}"


def main() -> None:
    """Serve until stein closes the pipe."""
    lines = Lines()
    driver = Driver()
    try:
        lines.serve(
            {
                "connect": driver.connect,
                "run": driver.run,
                "stop": driver.stop,
                "pull": driver.pull,
                "place": driver.place,
            },
            here={"connect"},
        )
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main()
