"""The board for why: the process, the event loop, who is let in, the store and its writer."""

from typing import Any, Final

from devops_api.telemetry import catalogue as m
from observability import queries as q
from observability.boards import Row
from observability.frame import LAG_STEPS, frame_board
from observability.objectives import DISK_LEFT_LEAST, RUNTIME_UID
from observability.panels import GREEN, ORANGE, RED, YELLOW, Query, Step, Word, spread_hues, stat, timeseries

READY: Final = {0: Word("No", RED), 1: Word("Yes", GREEN)}
DISK_STEPS: Final = (Step(None, RED), Step(DISK_LEFT_LEAST, YELLOW), Step(2.5 * DISK_LEFT_LEAST, GREEN))
OPERATION_COLOURS: Final = spread_hues(m.STORE_OPERATIONS)
SPREAD_COLOURS: Final = {"p50": GREEN, "p99": ORANGE}


def create_runtime() -> dict[str, Any]:
    """The board's document."""
    description = "Why it is as it is: the process, the event loop, who is let in, the store and its writer."
    return frame_board(RUNTIME_UID, description, [_now(), _process(), _store(), _writer()])


def _now() -> Row:
    return Row(
        "Now",
        [
            stat(
                "Ready",
                "Whether every instance says that it can serve.",
                Query(q.least(m.READY), "ready"),
                words=READY,
                unit="none",
                width=4,
            ),
            stat(
                "Event-loop delay, p99",
                "What 99 % of the loop's turns are late by at most. Red: requests wait for the loop.",
                Query(q.observed_quantile(0.99, m.LOOP_DELAY), "p99"),
                unit="s",
                width=4,
                steps=LAG_STEPS,
            ),
            stat(
                "Processor",
                "How many processors are busy with the service.",
                Query(q.counter_rate(m.CPU_TIME), "processors"),
                unit="none",
                width=4,
                decimals=2,
            ),
            stat(
                "Memory",
                "What the service holds of the machine's memory.",
                Query(q.level(m.MEMORY), "resident"),
                unit="bytes",
                width=4,
            ),
            stat(
                "In flight",
                "Requests that have begun and not ended.",
                Query(q.level(m.ACTIVE_REQUESTS), "in flight"),
                unit="none",
                width=4,
            ),
            stat(
                "Disk left",
                "The share of the database's disk that is free.",
                Query(q.disk_left(), "free"),
                unit="percentunit",
                width=4,
                maximum=1,
                steps=DISK_STEPS,
            ),
        ],
    )


def _process() -> Row:
    return Row(
        "Process",
        [
            timeseries(
                "Event-loop delay",
                "How late the loop's turns come: half and 99 % stay below. Dashed: an alert fires.",
                [
                    Query(q.observed_quantile(0.5, m.LOOP_DELAY), "p50"),
                    Query(q.observed_quantile(0.99, m.LOOP_DELAY), "p99"),
                ],
                unit="s",
                width=8,
                colours=SPREAD_COLOURS,
                steps=LAG_STEPS,
            ),
            timeseries(
                "Processors busy",
                "Processors busy in the service's own code and in the kernel for it.",
                [Query(q.counter_rate(m.CPU_TIME, labels=("type",)), "{{type}}")],
                unit="none",
                width=8,
                colours=spread_hues(("user", "system")),
                is_stacked=True,
            ),
            timeseries(
                "Memory",
                "What each instance holds of the machine's memory.",
                [Query(q.level(m.MEMORY, labels=("instance",)), "{{instance}}")],
                unit="bytes",
                width=8,
            ),
            timeseries(
                "Garbage collections per second",
                "Runs of Python's collector by generation; the oldest one stops everything longest.",
                [Query(q.counter_rate(m.GC_COLLECTIONS, labels=("generation",)), "generation {{generation}}")],
                unit="ops",
                width=8,
            ),
            timeseries(
                "Open files",
                "Descriptors open in each instance: connections above all.",
                [Query(q.level(m.OPEN_FILES, labels=("instance",)), "{{instance}}")],
                unit="none",
                width=8,
            ),
            timeseries(
                "In flight and turned away",
                "Requests that have begun and not ended, and those per second that got a 503 at the door.",
                [
                    Query(q.level(m.ACTIVE_REQUESTS), "in flight"),
                    Query(q.counter_rate(m.SHED), "turned away per second"),
                ],
                unit="none",
                soft_maximum=1,
                width=8,
                colours={"turned away per second": RED},
            ),
        ],
    )


def _store() -> Row:
    by_operation = ("db_operation_name",)
    return Row(
        "Store",
        [
            timeseries(
                "Store operations per second",
                "What the store is asked to do.",
                [Query(q.observation_rate(m.STORE_DURATION, labels=by_operation), "{{db_operation_name}}")],
                unit="ops",
                width=8,
                colours=OPERATION_COLOURS,
                soft_maximum=1,
            ),
            timeseries(
                "Store operations, p99",
                "99 % of each kind of operation take less than this.",
                [Query(q.observed_quantile(0.99, m.STORE_DURATION, labels=by_operation), "{{db_operation_name}}")],
                unit="s",
                width=8,
                colours=OPERATION_COLOURS,
            ),
            timeseries(
                "Store errors per second",
                "Operations that the store failed or refused; users got a 503.",
                [Query(q.store_errors(), "{{db_operation_name}}")],
                unit="ops",
                width=8,
                colours=OPERATION_COLOURS,
                soft_maximum=1,
            ),
        ],
    )


def _writer() -> Row:
    return Row(
        "Writer",
        [
            timeseries(
                "Changes waiting",
                "Changes that wait for the writer or are being written.",
                [Query(q.level(m.WRITER_QUEUE), "waiting")],
                unit="none",
                soft_maximum=1,
                width=6,
            ),
            timeseries(
                "Commit time",
                "How long a group of changes waits to begin, and takes to be on disk: 99 % take less.",
                [
                    Query(q.observed_quantile(0.99, m.WRITER_WAIT), "wait, p99"),
                    Query(q.observed_quantile(0.99, m.WRITER_COMMIT), "commit, p99"),
                ],
                unit="s",
                width=6,
            ),
            timeseries(
                "Changes per commit",
                "How many changes share one flush of the disk, on average.",
                [Query(q.observed_mean(m.WRITER_BATCH), "changes")],
                unit="none",
                width=6,
            ),
            timeseries(
                "Disk of the database",
                "What the database takes, and what is left beside it.",
                [Query(q.level(m.STORE_SIZE), "database"), Query(q.level(m.DISK_FREE), "free")],
                unit="bytes",
                width=6,
            ),
            timeseries(
                "Items per second",
                "Items created, updated and deleted, and how many of the first two came by import.",
                [
                    Query(q.counter_rate(m.ITEMS_CREATED), "created"),
                    Query(q.counter_rate(m.ITEMS_UPDATED), "updated"),
                    Query(q.counter_rate(m.ITEMS_DELETED), "deleted"),
                    Query(q.counter_rate(m.ITEMS_IMPORTED), "of them imported"),
                ],
                unit="short",
                width=8,
                colours=spread_hues(("created", "updated", "deleted", "of them imported")),
                soft_maximum=1,
            ),
            timeseries(
                "Items rejected per second",
                "Requests and lines of imports that changed nothing because of what they asked, by reason.",
                [Query(q.counter_rate(m.ITEMS_REJECTED, labels=("reason",)), "{{reason}}")],
                unit="short",
                width=8,
                colours=spread_hues(m.REJECTION_REASONS),
                soft_maximum=1,
            ),
            timeseries(
                "Items stored",
                "How many items there are.",
                [Query(q.level(m.ITEMS_STORED), "items")],
                unit="none",
                width=8,
            ),
        ],
    )
