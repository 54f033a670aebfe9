"""Every metric of the item service."""

from devops_api.telemetry.catalogue import *  # noqa: F403
