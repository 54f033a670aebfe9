"""Dashboards, recording rules and alerts as code: `make generate` writes them to `observability/generated/`.

Imports go down only: `__main__`, then `dashboards` and `rules`, then `alerts`, then `queries`, then `objectives`.
"""
