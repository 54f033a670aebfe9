"""The service's objectives, and every number that rules, alerts and dashboards share.

Burn rates follow the SRE workbook (chapter 5, "Multiwindow, Multi-Burn-Rate Alerts"): at 14.4 times the allowed error
ratio, 2 % of a 30-day budget is used up in an hour.
"""

from typing import Final, Literal, NamedTuple

from devops_api.items.settings import Settings

Severity = Literal["page", "ticket"]

JOB: Final = "devops-api"
PROMETHEUS_JOB: Final = "prometheus"
SERVICE_UID: Final = "devops-api-service"
ROUTES_UID: Final = "devops-api-routes"
RUNTIME_UID: Final = "devops-api-runtime"
TELEMETRY_UID: Final = "devops-api-telemetry"
MINUTE_S: Final = 60
HOUR_S: Final = 60 * MINUTE_S
DAY_S: Final = 24 * HOUR_S


class Window(NamedTuple):
    """A duration, with its name in recorded series."""

    name: str
    length_s: int


class Burn(NamedTuple):
    """A burn-rate alert: it fires if the rate is above `factor` over both windows.

    The short window resolves the alert soon after the failures end.
    """

    long: Window
    short: Window
    factor: float
    severity: Severity
    for_s: int

    @property
    def hours_left(self) -> int:
        """How long a full budget lasts at this rate."""
        return round(W30D.length_s / HOUR_S / self.factor)


class Objective(NamedTuple):
    """A promise over 30 days: at least `target` of the `counted` requests are not `bad`.

    `counted` and `bad` are the SLIs' names in recorded series, `job:<counted>:rate5m`; `harm` says what happens to
    bad requests, and `felt` what users experience.
    """

    name: str
    target: float
    promise: str
    counted: str
    bad: str
    harm: str
    felt: str

    @property
    def budget(self) -> float:
        """The ratio of bad requests that is allowed."""
        return round(1 - self.target, 9)

    @property
    def alert(self) -> str:
        """The name of the alerts on this objective's budget."""
        return f"{self.name.capitalize()}BudgetBurn"


W5M: Final = Window("5m", 5 * MINUTE_S)
W30M: Final = Window("30m", 30 * MINUTE_S)
W1H: Final = Window("1h", HOUR_S)
W2H: Final = Window("2h", 2 * HOUR_S)
W6H: Final = Window("6h", 6 * HOUR_S)
W1D: Final = Window("1d", DAY_S)
W3D: Final = Window("3d", 3 * DAY_S)
W30D: Final = Window("30d", 30 * DAY_S)
WINDOWS: Final = (W5M, W30M, W1H, W2H, W6H, W1D, W3D, W30D)

FAST_BURN: Final = Burn(W1H, W5M, 14.4, "page", 2 * MINUTE_S)
BURNS: Final = (
    FAST_BURN,
    Burn(W6H, W30M, 6, "page", 15 * MINUTE_S),
    Burn(W1D, W2H, 3, "ticket", HOUR_S),
    Burn(W3D, W6H, 1, "ticket", 3 * HOUR_S),
)

# Limits that alerts check and dashboards draw.
LATENCY_BOUND_S: Final = 0.1
LOOP_DELAY_BOUND_S: Final = 0.1
DISK_LEFT_LEAST: Final = 0.1
STORE_ERRORS_MOST: Final = 0.01
QUEUE_MOST: Final = Settings().max_in_flight // 2  # At the full limit no further request is admitted.

AVAILABILITY: Final = Objective(
    "availability",
    0.999,
    "99.9 % of item requests over 30 days do not fail with a 5xx",
    "item_requests",
    "item_requests_failed",
    "fail with a 5xx",
    "Users see errors.",
)
LATENCY: Final = Objective(
    "latency",
    0.99,
    "99 % of item requests over 30 days take less than 100 ms; import, export and batch are not counted",
    "item_requests_timed",
    "item_requests_slow",
    "take longer than 100 ms",
    "Users wait.",
)
OBJECTIVES: Final = (AVAILABILITY, LATENCY)


def format_duration(length_s: float, speed: int = 1) -> str:
    """Return a duration in Prometheus' notation, divided by `speed`."""
    milliseconds = round(length_s * 1000 / speed)
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"
