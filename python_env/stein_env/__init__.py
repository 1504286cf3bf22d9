"""Simulator workers of Stein, and its own environments.

Importing this package registers the multi-goal plane with Gymnasium. The worker
itself is ``python -m stein_env.worker``.
"""

from stein_env.multigoal import register as _register

__version__ = "0.1.0"

_register()
