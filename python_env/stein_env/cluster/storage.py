"""Copies run folders to and from shared storage, given by an fsspec URL.

Object stores have neither renames nor locks. A checkpoint's manifest is copied last:
one without it, or with a file whose sum does not hold, is skipped when a run
resumes, so an interrupted copy does no harm.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

import fsspec
from fsspec import AbstractFileSystem

LOCAL = (".lock",)  # only meaningful on one machine


def pull(url: str, folder: Path) -> bool:
    """Download the URL to the folder; return whether it has any files."""
    fs, root = _open(url)
    shutil.rmtree(folder, ignore_errors=True)
    fs.invalidate_cache()
    names = _names(fs, root)
    for name in names:
        to = folder / name
        to.parent.mkdir(parents=True, exist_ok=True)
        fs.get_file(f"{root}/{name}", str(to))
    return bool(names)


def push(folder: Path, url: str) -> None:
    """Upload the folder to the URL.

    A checkpoint's files never change, so existing ones are skipped. The run goes on
    meanwhile, and may remove an old checkpoint at any moment.
    """
    fs, root = _open(url)
    fs.invalidate_cache()
    there = _names(fs, root)
    here = _sizes(folder)
    manifests_last = sorted(here, key=lambda n: (n.endswith("/manifest.json"), n))
    for name in manifests_last:
        if name.startswith("checkpoints/") and there.get(name) == here[name]:
            continue
        fs.makedirs(f"{root}/{name}".rpartition("/")[0], exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            fs.put_file(str(folder / name), f"{root}/{name}")
    for name in there:
        if name not in here:
            fs.rm_file(f"{root}/{name}")


def _sizes(folder: Path) -> dict[str, int]:
    """Return the sizes of the run's files, by relative path."""
    sizes: dict[str, int] = {}
    for directory, _, files in os.walk(folder):  # skips a folder that is gone
        for path in (Path(directory, file) for file in files):
            below = path.relative_to(folder)
            if any(part in LOCAL or part.startswith(".tmp-") for part in below.parts):
                continue
            with contextlib.suppress(FileNotFoundError):
                sizes[below.as_posix()] = path.stat().st_size
    return sizes


def _open(url: str) -> tuple[AbstractFileSystem, str]:
    fs, root = fsspec.core.url_to_fs(url)
    return fs, root.rstrip("/")


def _names(fs: AbstractFileSystem, root: str) -> dict[str, int]:
    """Return the sizes of all files below root, by relative path."""
    if not fs.exists(root):
        return {}
    found = fs.find(root, detail=True)
    return {
        path.removeprefix(root).lstrip("/"): int(info["size"])
        for path, info in found.items()
    }
