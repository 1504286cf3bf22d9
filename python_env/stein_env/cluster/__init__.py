"""Runs and simulators on other machines, by Ray, and tuning by Optuna.

``python -m stein_env.cluster.driver`` and ``python -m stein_env.cluster.study`` are
started by stein and exchange JSON lines with it (``lines.py``). Code for a cluster's
nodes is in ``trial.py`` and ``simulators.py``.
"""
