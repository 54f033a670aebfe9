"""The dashboard for causes: the process, the event loop, load shedding, the store, its writer, the items."""

from typing import Any, Final

from observability.dashboards.house import LOOP_DELAY_THRESHOLDS, QUANTILE_COLOURS, create_house_dashboard
from observability.dashboards.layout import Row
from observability.dashboards.panels import (
    GREEN,
    RED,
    YELLOW,
    Panel,
    Query,
    Threshold,
    ValueMapping,
    assign_colours,
    stat,
    timeseries,
)
from observability.objectives import DISK_LEFT_LEAST, RUNTIME_UID
from observability.queries import instruments, store
from observability.queries import metrics as m

READY: Final = {0: ValueMapping("No", RED), 1: ValueMapping("Yes", GREEN)}
DISK_THRESHOLDS: Final = (
    Threshold(None, RED),
    Threshold(DISK_LEFT_LEAST, YELLOW),
    Threshold(2.5 * DISK_LEFT_LEAST, GREEN),
)
OPERATION_COLOURS: Final = assign_colours(m.STORE_OPERATIONS)
ITEM_COUNTERS: Final = {
    "created": m.ITEMS_CREATED,
    "updated": m.ITEMS_UPDATED,
    "deleted": m.ITEMS_DELETED,
    "of them imported": m.ITEMS_IMPORTED,
}


def create_runtime() -> dict[str, Any]:
    """Return the dashboard's document."""
    return create_house_dashboard(
        RUNTIME_UID,
        "Causes: the process, the event loop, load shedding, the store, its writer, the items.",
        [
            Row("Now", [*_health(), *_resources()]),
            Row("Process", [*_process(), *_limits()]),
            Row("Store", [*_store()]),
            Row("Writer", [*_writer()]),
            Row("Items", [*_items()]),
        ],
    )


def _health() -> list[Panel]:
    return [
        stat(
            "Ready",
            "Whether every instance reports that it is ready.",
            Query(instruments.lowest(m.READY), "ready"),
            mappings=READY,
            unit="none",
            width=4,
        ),
        stat(
            "Event-loop delay, p99",
            "99 % of the event loop's turns are delayed by less than this. Red: long enough to delay requests.",
            Query(instruments.quantile(0.99, m.LOOP_DELAY), "p99"),
            unit="s",
            width=4,
            thresholds=LOOP_DELAY_THRESHOLDS,
        ),
    ]


def _resources() -> list[Panel]:
    return [
        stat(
            "Processor",
            "How many processors the service keeps busy.",
            Query(instruments.counter_rate(m.CPU_TIME), "processors"),
            unit="none",
            width=4,
            decimals=2,
        ),
        stat(
            "Memory",
            "Physical memory that the service uses.",
            Query(instruments.level(m.MEMORY), "resident"),
            unit="bytes",
            width=4,
        ),
        stat(
            "In flight",
            "Requests that have started and not finished.",
            Query(instruments.level(m.ACTIVE_REQUESTS), "in flight"),
            unit="none",
            width=4,
        ),
        stat(
            "Disk left",
            "The free share of the database's disk.",
            Query(store.least_disk_left(), "free"),
            unit="percentunit",
            width=4,
            maximum=1,
            thresholds=DISK_THRESHOLDS,
        ),
    ]


def _process() -> list[Panel]:
    return [
        timeseries(
            "Event-loop delay",
            "50 % and 99 % of the event loop's turns are delayed by less than this. Dashed: threshold of the alert.",
            [
                Query(instruments.quantile(0.5, m.LOOP_DELAY), "p50"),
                Query(instruments.quantile(0.99, m.LOOP_DELAY), "p99"),
            ],
            unit="s",
            width=8,
            colours={name: QUANTILE_COLOURS[name] for name in ("p50", "p99")},
            thresholds=LOOP_DELAY_THRESHOLDS,
        ),
        timeseries(
            "Processors busy",
            "Processors that the service keeps busy, in its own code (user) and in the kernel (system).",
            [Query(instruments.counter_rate(m.CPU_TIME, labels=("type",)), "{{type}}")],
            unit="none",
            width=8,
            colours=assign_colours(("user", "system")),
            is_stacked=True,
        ),
        _by_instance("Memory", "Physical memory that each instance uses.", m.MEMORY, unit="bytes"),
    ]


def _limits() -> list[Panel]:
    return [
        timeseries(
            "Garbage collections per second",
            "Runs of Python's garbage collector by generation; those of generation 2 pause the process longest.",
            [Query(instruments.counter_rate(m.GC_COLLECTIONS, labels=("generation",)), "generation {{generation}}")],
            unit="ops",
            width=8,
        ),
        _by_instance("Open files", "File descriptors open in each instance, mostly connections.", m.OPEN_FILES),
        timeseries(
            "In flight and shed",
            "Requests that have started and not finished, and requests per second that were shed with a 503.",
            [
                Query(instruments.level(m.ACTIVE_REQUESTS), "in flight"),
                Query(instruments.counter_rate(m.SHED), "shed per second"),
            ],
            unit="none",
            soft_maximum=1,
            width=8,
            colours={"shed per second": RED},
        ),
    ]


def _by_instance(title: str, description: str, metric: m.Metric, unit: str = "none") -> Panel:
    queries = [Query(instruments.level(metric, labels=("instance",)), "{{instance}}")]
    return timeseries(title, description, queries, unit=unit, width=8)


def _store() -> list[Panel]:
    by = ("db_operation_name",)
    return [
        _by_operation(
            "Store operations per second",
            "Operations of the store by kind.",
            instruments.observation_rate(m.STORE_DURATION, labels=by),
        ),
        timeseries(
            "Store operations, p99",
            "99 % of the operations of each kind take less than this.",
            [Query(instruments.quantile(0.99, m.STORE_DURATION, labels=by), "{{db_operation_name}}")],
            unit="s",
            width=8,
            colours=OPERATION_COLOURS,
        ),
        _by_operation(
            "Store errors per second", "Store operations that failed; users got a 5xx.", store.store_errors()
        ),
    ]


def _by_operation(title: str, description: str, expr: str) -> Panel:
    return timeseries(
        title,
        description,
        [Query(expr, "{{db_operation_name}}")],
        unit="ops",
        width=8,
        colours=OPERATION_COLOURS,
        soft_maximum=1,
    )


def _writer() -> list[Panel]:
    return [
        timeseries(
            "Changes waiting",
            "Changes in the writer's queue, including those being written.",
            [Query(instruments.level(m.WRITER_QUEUE), "waiting")],
            unit="none",
            soft_maximum=1,
            width=6,
        ),
        timeseries(
            "Commit time",
            "99 % of commits wait less than this before they start, and take less than this to reach the disk.",
            [
                Query(instruments.quantile(0.99, m.WRITER_WAIT), "wait, p99"),
                Query(instruments.quantile(0.99, m.WRITER_COMMIT), "commit, p99"),
            ],
            unit="s",
            width=6,
        ),
        timeseries(
            "Changes per commit",
            "How many changes one flush to disk covers on average.",
            [Query(instruments.mean(m.WRITER_BATCH), "changes")],
            unit="none",
            width=6,
        ),
        timeseries(
            "Disk of the database",
            "The size of the database, and the free space on its disk.",
            [Query(instruments.level(m.STORE_SIZE), "database"), Query(instruments.level(m.DISK_FREE), "free")],
            unit="bytes",
            width=6,
        ),
    ]


def _items() -> list[Panel]:
    return [
        timeseries(
            "Items per second",
            "Items created, updated and deleted; imported items are also counted as created or updated.",
            [Query(instruments.counter_rate(metric), name) for name, metric in ITEM_COUNTERS.items()],
            unit="short",
            width=8,
            colours=assign_colours(list(ITEM_COUNTERS)),
            soft_maximum=1,
        ),
        timeseries(
            "Items rejected per second",
            "Requests and lines of imports that were rejected, by reason.",
            [Query(instruments.counter_rate(m.ITEMS_REJECTED, labels=("reason",)), "{{reason}}")],
            unit="short",
            width=8,
            colours=assign_colours(m.REJECTION_REASONS),
            soft_maximum=1,
        ),
        timeseries(
            "Items stored",
            "How many items the store has.",
            [Query(instruments.level(m.ITEMS_STORED), "items")],
            unit="none",
            width=8,
        ),
    ]
