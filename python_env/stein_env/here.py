"""Where modules of the user's own are found."""

from __future__ import annotations

import os
import sys
import sysconfig


def see_working_directory() -> None:
    """Have imports look into the working directory, as Python itself does by default.

    Python looks there before anything else, so that a file ``random.py`` hides the
    library's. Here it comes after the standard library and before installed packages,
    and what Stein needs of those is imported by now.
    """
    here = os.getcwd()
    if not sys.flags.safe_path or here in sys.path:
        return  # started by hand: Python's own order
    library = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    library |= {os.path.join(path, "lib-dynload") for path in library}
    last = max((i for i, path in enumerate(sys.path) if path in library), default=-1)
    sys.path.insert(last + 1, here)


def hidden(module: str) -> str:
    """Return the file of the working directory that an imported module hides, or ""."""
    top = module.partition(".")[0]
    loaded = getattr(sys.modules.get(top), "__file__", None)
    for path in (os.path.abspath(f"{top}.py"), os.path.abspath(f"{top}/__init__.py")):
        if os.path.exists(path) and (
            loaded is None or not os.path.samefile(path, loaded)
        ):
            return path
    return ""
