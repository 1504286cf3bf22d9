"""Runs copied into storage behind an URL, and out of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

storage = pytest.importorskip(
    "stein_env.cluster.storage", reason="requirements-cluster.txt is not installed"
)


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _read(folder: Path) -> dict[str, str]:
    return {
        p.relative_to(folder).as_posix(): p.read_text()
        for p in folder.rglob("*")
        if p.is_file()
    }


@pytest.mark.parametrize("scheme", ["file", "memory"])
def test_the_copy_is_what_the_run_is(tmp_path: Path, scheme: str) -> None:
    """What is there comes, what is gone goes, locks and drafts stay."""
    url = f"{scheme}://{tmp_path}/there"
    here, back = tmp_path / "here", tmp_path / "back"
    run = {
        "metrics.csv": "step\n1\n",
        "checkpoints/step-1/manifest.json": "{}",
        "checkpoints/step-1/a.bin": "1",
    }
    _write(here, run | {".lock": "", "checkpoints/.tmp-3/a.bin": "half"})
    storage.push(here, url)
    assert storage.pull(url, back)
    assert _read(back) == run

    (here / "checkpoints/step-1/a.bin").unlink()
    (here / "checkpoints/step-1/manifest.json").unlink()
    later = {"metrics.csv": "step\n1\n2\n", "checkpoints/step-2/manifest.json": "{}"}
    _write(here, later)
    storage.push(here, url)
    _write(back, {"left over": "x"})
    assert storage.pull(url, back)
    assert _read(back) == later


def test_nothing_there(tmp_path: Path) -> None:
    """A run that was never kept leaves no folder."""
    _write(tmp_path / "run", {"metrics.csv": "old"})
    assert not storage.pull(f"file://{tmp_path}/none", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_manifest_comes_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy that is cut short leaves no checkpoint that looks whole."""
    import fsspec.implementations.local as local

    put, order = local.LocalFileSystem.put_file, []

    def note(
        self: object, here: str, there: str, *args: object, **kwargs: object
    ) -> None:
        order.append(Path(there).name)
        put(self, here, there, *args, **kwargs)

    monkeypatch.setattr(local.LocalFileSystem, "put_file", note)
    _write(
        tmp_path / "run",
        {f"checkpoints/step-1/{n}": n for n in ("z.bin", "manifest.json", "a")},
    )
    storage.push(tmp_path / "run", f"file://{tmp_path}/there")
    assert order == ["a", "z.bin", "manifest.json"]


def test_a_checkpoint_goes_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run removes an old checkpoint while a new one is copied."""
    import fsspec.implementations.local as local

    run, url = tmp_path / "run", f"file://{tmp_path}/there"
    old = {f"checkpoints/step-1/{n}": n for n in ("a", "manifest.json")}
    new = {f"checkpoints/step-2/{n}": n for n in ("a", "manifest.json")}
    _write(run, old)
    storage.push(run, url)
    _write(run, new)
    put = local.LocalFileSystem.put_file

    def remove_and_put(
        self: object, here: str, there: str, *args: object, **kwargs: object
    ) -> None:
        shutil.rmtree(run / "checkpoints/step-1", ignore_errors=True)
        put(self, here, there, *args, **kwargs)

    monkeypatch.setattr(local.LocalFileSystem, "put_file", remove_and_put)
    storage.push(run, url)
    monkeypatch.undo()
    assert storage.pull(url, tmp_path / "back")
    assert _read(tmp_path / "back") == old | new
    storage.push(run, url)
    assert storage.pull(url, tmp_path / "back")
    assert _read(tmp_path / "back") == new
