"""A trial of a sweep on a node of a Ray cluster: one process of stein, watched."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import ray

from stein_env.cluster import storage

PROGRAM = Path(__file__).with_name("stein")  # runtime_env installs both
TAIL_BYTES = 64 << 10  # of the process's output
POLL_SECONDS = 0.5
SHIPPED = ("config.yaml", "run.json", "metrics.csv")  # small files copied during a run
PUSH_SECONDS = 30.0  # between copies to storage without a new checkpoint
BOARD_SECONDS = 60.0  # without an answer, after which the requester is considered gone


class Board:
    """An actor through which nodes report on trials, and learn which to stop."""

    def __init__(self) -> None:
        import asyncio

        self._news: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._stop: set[int] = set()

    async def post(self, number: int, news: dict[str, Any]) -> bool:
        """Store news of a request; return whether it must stop."""
        if news:
            await self._news.put({"id": number, "news": news})
        return number in self._stop

    async def take(self) -> list[dict[str, Any]]:
        """Wait for news."""
        import asyncio

        news: list[dict[str, Any]] = []
        with contextlib.suppress(asyncio.TimeoutError):
            news.append(await asyncio.wait_for(self._news.get(), 10))
        while not self._news.empty():
            news.append(self._news.get_nowait())
        return news

    async def stop(self, number: int) -> None:
        """Tell a request to stop."""
        self._stop.add(number)


def run_trial(spec: dict[str, Any], number: int, board: Any) -> dict[str, Any]:
    """Run one trial's process to its end.

    Args:
        spec: ``trial`` (name), ``args`` of stein, in which ``{run}`` stands for the
            run folder and ``{config}`` for a file with the text ``config``; ``dir``,
            the sweep's folder on storage that all nodes see, or ``storage``, its
            fsspec URL, out of which and into which the run is copied.
        number: of the request.
        board: the Board.

    Returns:
        ``code``, ``stdout`` and the end of ``stderr``, of the process.
    """
    with tempfile.TemporaryDirectory(prefix="stein-trial-") as scratch:
        if spec.get("storage"):
            copy = _Copy(f"{spec['storage']}/{spec['trial']}", Path(scratch, "run"))
            copy.begin("--resume" in spec["args"])
            folder = copy.folder
        else:
            copy = None
            folder = Path(spec["dir"], spec["trial"])
            if not Path(spec["dir"]).is_dir():
                raise FileNotFoundError(
                    f"{socket.gethostname()} cannot access {spec['dir']}: choose an"
                    " --out on storage that all nodes share, or a URL with --storage"
                )
        config = Path(scratch, spec.get("config_name") or "config.yaml")
        config.write_text(spec.get("config") or "", encoding="utf-8")
        args = [
            {"{run}": str(folder), "{config}": str(config)}.get(a, a)
            for a in spec["args"]
        ]
        return _watch(args, Path(scratch), number, board, copy)


def _watch(
    args: list[str], scratch: Path, number: int, board: Any, copy: _Copy | None
) -> dict[str, Any]:
    # Record it in the journal first.
    ray.get(
        board.post.remote(number, {"node": _node(), "started": True}),
        timeout=BOARD_SECONDS,
    )
    out, err = scratch / "out", scratch / "err"
    with out.open("wb") as o, err.open("wb") as e:
        process = subprocess.Popen(
            [str(PROGRAM), *args],
            cwd=scratch,
            stdin=subprocess.DEVNULL,
            stdout=o,
            stderr=e,
            env=_environment(),
            preexec_fn=_die_with_parent,
        )
    try:
        told = False
        while process.poll() is None:
            time.sleep(POLL_SECONDS)
            news = copy.follow() if copy else {}
            stop = ray.get(board.post.remote(number, news), timeout=BOARD_SECONDS)
            if stop and not told:
                told = True
                process.send_signal(signal.SIGTERM)
    except BaseException:
        process.kill()
        process.wait()
        raise
    if copy:
        copy.end()
    said = err.read_bytes()[-TAIL_BYTES:].decode("utf-8", "replace")
    return {
        "code": process.returncode,
        "stdout": out.read_text(encoding="utf-8", errors="replace"),
        "stderr": said,
    }


def _environment() -> dict[str, str]:
    """Return environment variables that make the process use this interpreter."""
    env = dict(os.environ)
    env["STEIN_PYTHON"] = sys.executable
    env["VIRTUAL_ENV"] = sys.prefix
    return env


def _node() -> str:
    context = ray.get_runtime_context()
    return f"{socket.gethostname()} {context.get_node_id()[:8]}"


_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    """Make the kernel kill the process when Ray's worker ends in any way."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class _Copy:
    """A run folder on this node's disk that is kept in sync with storage."""

    def __init__(self, url: str, folder: Path) -> None:
        self.folder = folder
        self._url = url
        self._sent: dict[str, int] = {}
        self._checkpoints: set[str] = set()
        self._pushed = 0.0

    def begin(self, resume: bool) -> None:
        """Download the run, to resume it."""
        if resume:
            storage.pull(self._url, self.folder)
        self._checkpoints = self._newest()
        self._pushed = time.monotonic()

    def follow(self) -> dict[str, Any]:
        """Upload what is new, and return how much small files have grown."""
        newest = self._newest()
        late = time.monotonic() - self._pushed > PUSH_SECONDS
        if (newest - self._checkpoints or late) and self.folder.is_dir():
            storage.push(self.folder, self._url)
            self._checkpoints, self._pushed = newest, time.monotonic()
        return self._grown()

    def end(self) -> None:
        """Upload everything."""
        if self.folder.is_dir():
            storage.push(self.folder, self._url)

    def _newest(self) -> set[str]:
        return {path.name for path in self.folder.glob("checkpoints/step-*")}

    def _grown(self) -> dict[str, Any]:
        files: dict[str, Any] = {}
        for name in SHIPPED:
            path = self.folder / name
            with contextlib.suppress(FileNotFoundError):
                size, sent = path.stat().st_size, self._sent.get(name, 0)
                if size == sent:
                    continue
                if size < sent or name != "metrics.csv":
                    sent = 0  # the file was replaced
                with path.open("rb") as f:
                    f.seek(sent)
                    more = f.read()
                files[name] = [sent, more.decode("utf-8", "replace")]
                self._sent[name] = sent + len(more)
        return {"files": files} if files else {}
