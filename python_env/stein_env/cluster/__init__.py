"""Runs and simulators on other machines, by Ray, and tuning by Optuna.

``python -m stein_env.cluster.driver`` and ``python -m stein_env.cluster.study`` are
started by stein and speak JSON lines with it (``lines.py``). What runs on a cluster's
nodes is in ``trial.py`` and ``simulators.py``.
"""
