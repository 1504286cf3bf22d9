"""``pip install ./python_env``, as users of the client and of remote workers do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[1]


def test_all_of_the_package_is_installed(tmp_path: Path) -> None:
    # Building leaves files beside the source.
    source, site = tmp_path / "python_env", tmp_path / "site"
    shutil.copytree(
        SOURCE, source, ignore=shutil.ignore_patterns("tests", "__pycache__", ".*")
    )
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    # The environment has what is needed, the build's tools too: no network.
    subprocess.run(
        [*pip, "--no-deps", "--no-build-isolation", "--target", site, source],
        check=True,
        capture_output=True,
    )
    kept = {path.relative_to(site) for path in site.rglob("stein_env/**/*")}
    for path in (SOURCE / "stein_env").rglob("*"):
        if path.suffix in (".py", ".pyi", ".typed"):
            assert path.relative_to(SOURCE) in kept

    env = {**os.environ, "PYTHONPATH": str(site)}
    said = subprocess.run(
        [sys.executable, "-c", "import stein_env.client as c; print(c.__file__)"],
        check=True,
        capture_output=True,
        text=True,
        env=env,
        cwd=tmp_path,
    )
    assert Path(said.stdout.strip()).is_relative_to(site)
    worker = site / "bin" / "stein-env-worker"
    help_text = subprocess.run(
        [sys.executable, worker, "--help"],
        check=True,
        capture_output=True,
        text=True,
        env=env,
        cwd=tmp_path,
    )
    assert "--max-clients" in help_text.stdout
