"""Every PromQL expression, by name: dashboards, rules and alerts call these functions and contain no PromQL.

`promql` has the building blocks, `instruments` the queries that fit any metric, `requests`, `store`, `telemetry` and
`slo` those about one subject, `conditions` those of alerts. `metrics` is the service's metric catalogue: the rest of
`observability` takes it from here.

Queries of dashboards select the chosen job and instance (`SCOPE`) and use the window that Grafana derives from the
time range. Queries of rules take the window as an argument and sum by `job`.
"""

from devops_api.items import metrics

__all__ = ["metrics"]
