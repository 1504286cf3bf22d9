"""Import path for the user's own modules."""

from __future__ import annotations

import os
import sys
import sysconfig


def see_working_directory() -> None:
    """Add the working directory to the import path, as Python does by default.

    Python searches it first, so that a file ``random.py`` shadows the
    library's. Here it comes after the standard library and before installed packages;
    the packages that Stein needs are already imported.
    """
    here = os.getcwd()
    if not sys.flags.safe_path or here in sys.path:
        return  # started by hand: keep Python's order
    library = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    library |= {os.path.join(path, "lib-dynload") for path in library}
    last = max((i for i, path in enumerate(sys.path) if path in library), default=-1)
    sys.path.insert(last + 1, here)


def hidden(module: str) -> str:
    """Return the working directory's file that an imported module shadows, or ""."""
    top = module.partition(".")[0]
    loaded = getattr(sys.modules.get(top), "__file__", None)
    for path in (os.path.abspath(f"{top}.py"), os.path.abspath(f"{top}/__init__.py")):
        if os.path.exists(path) and (
            loaded is None or not os.path.samefile(path, loaded)
        ):
            return path
    return ""
