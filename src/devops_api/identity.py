"""The identity of a service: the only place that defines its name, version and prefixes."""

from typing import NamedTuple


class Identity(NamedTuple):
    """Name and version of a service, and the prefixes of its own metrics (`items.`) and settings (`DEVOPS_API_`).

    `metric_prefix` has no dot at its end; `settings_prefix` ends with its underscore.
    """

    name: str
    version: str
    metric_prefix: str
    settings_prefix: str
