"""Dashboards, recording rules and alerts as code: `python -m observability` writes `observability/generated/`.

Imports go down only: `__main__`, then `dashboards` and `rules`, then `panels` and `queries`, then `objectives`.
"""
