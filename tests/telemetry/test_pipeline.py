"""A sampled request leads from a count to its log lines, and callers cannot force more than the limit."""

import asyncio
import json
from time import sleep

import pytest
from conftest import Running, StartService
from connections import exchange
from samples import ITEM
from scrapes import DURATION, TRACE_ID, TRACEPARENT, UNHEARD, scrape

from devops_api.telemetry.catalogue import REQUEST_DURATION


async def test_only_sampled_requests_leave_exemplars_and_only_in_openmetrics(start_service: StartService) -> None:
    running = await start_service({"OTEL_TRACES_SAMPLER": "parentbased_always_off"})
    async with running.client.get("/items"), running.client.get("/items/none", headers={"traceparent": TRACEPARENT}):
        pass
    found = await scrape(running.client)
    marked = [sample for sample in found.find(f"{DURATION}_bucket") if sample.exemplar]
    assert [sample.labels["http_route"] for sample in marked] == ["/items/{id}"]
    exemplar = marked[0].exemplar
    assert exemplar.labels["trace_id"] == TRACE_ID
    assert len(exemplar.labels["span_id"]) == 16
    assert exemplar.timestamp is not None
    assert 0 < exemplar.value <= float(marked[0].labels["le"])
    async with running.client.get("/metrics", headers={"Accept": "text/plain"}) as reply:
        assert TRACE_ID not in await reply.text()


async def test_forced_samples_above_the_limit_are_counted(start_service: StartService) -> None:
    running = await start_service(forced_samples_per_s=0)
    for _ in range(5):
        async with running.client.get("/items", headers={"traceparent": TRACEPARENT}) as reply:
            assert reply.status == 200
    found = await scrape(running.client)
    assert found.sum("telemetry_sample_capped_total") == 5
    assert not [sample for sample in found.find(f"{DURATION}_bucket") if sample.exemplar]


@pytest.mark.parametrize("host", ["]", "[::1", "a:b:c", "a:99999999", "a b", ""])
@pytest.mark.parametrize("environment", [{}, UNHEARD], ids=["ids alone", "spans"])
async def test_an_invalid_host_gets_the_same_response_sampled_or_not(
    start_service: StartService, environment: dict[str, str], host: str
) -> None:
    running = await start_service(environment)
    answers = []
    for flags in ("00", "01"):
        traceparent = TRACEPARENT[:-2] + flags
        request = f"GET /items/none HTTP/1.1\r\nHost: {host}\r\ntraceparent: {traceparent}\r\nConnection: close\r\n\r\n"
        answers.append((await exchange(running.url, request.encode())).split(b"\r\n")[0])
    assert answers[0] == answers[1]
    assert answers[0].startswith(b"HTTP/1.1 4")
    found = await scrape(running.client)
    assert found.count_requests(http_response_status_code="404") in {0, 2}
    exemplars = [sample.exemplar.labels for sample in found.find(f"{DURATION}_bucket") if sample.exemplar]
    assert {labels["trace_id"] for labels in exemplars} <= {TRACE_ID}
    assert not [labels for labels in exemplars if labels["span_id"] == "0" * 16]


@pytest.mark.parametrize("environment", [{}, UNHEARD], ids=["ids alone", "spans"])
async def test_log_lines_carry_the_trace_of_the_caller_sampled_or_not(
    start_service: StartService, environment: dict[str, str]
) -> None:
    running = await start_service(environment)
    for flags in ("00", "01"):
        async with running.client.post("/items", json=ITEM, headers={"traceparent": TRACEPARENT[:-2] + flags}) as reply:
            assert reply.status == 201
    await asyncio.to_thread(running.service.logs.close, 1)
    lines = [json.loads(line) for line in running.read_log()]
    created = [line for line in lines if line["event"] == "item_created"]
    assert [line["trace_id"] for line in created] == [TRACE_ID, TRACE_ID]
    assert ["span_id" in line for line in created] == [False, True]
    assert [line["span_id"] for line in lines if line["event"] == "request"] == [created[1]["span_id"]]


async def test_a_disabled_sdk_leaves_a_working_service_without_metrics(start_service: StartService) -> None:
    running = await start_service({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"})
    headers = {"traceparent": TRACEPARENT}
    async with running.client.post("/items", json=ITEM, headers=headers) as reply:
        assert reply.status == 201
    async with running.client.get("/metrics") as reply:
        assert (reply.status, await reply.text()) == (200, "")
    await asyncio.to_thread(running.service.logs.close, 1)
    lines = [json.loads(line) for line in running.read_log()]
    assert [line["trace_id"] for line in lines if line["event"] == "item_created"] == [TRACE_ID]
    assert not [line for line in lines if line["event"] == "library"]


async def test_a_blocked_event_loop_shows_in_its_delay(running: Running) -> None:
    await asyncio.sleep(0.1)
    sleep(0.3)  # noqa: ASYNC251 - the subject
    await asyncio.sleep(0.1)
    found = await scrape(running.client)
    slow = found.sum("items_event_loop_delay_seconds_count") - found.sum(
        "items_event_loop_delay_seconds_bucket", le="0.1"
    )
    assert slow >= 1


async def test_observations_fall_into_the_bucket_that_ends_at_them(running: Running) -> None:
    series = running.service.telemetry.histogram(REQUEST_DURATION).open_series({"http.route": "/here"})
    for duration_s in (0.0, 0.005, 0.0051, 10.0, 10.1):
        series.record(duration_s)
    found = await scrape(running.client)
    buckets = {sample.labels["le"]: sample.value for sample in found.find(f"{DURATION}_bucket", http_route="/here")}
    assert (buckets["0.005"], buckets["0.01"], buckets["10.0"], buckets["+Inf"]) == (2, 3, 4, 5)
    assert found.sum(f"{DURATION}_sum", http_route="/here") == pytest.approx(20.1101)


async def test_a_metric_that_cannot_be_refreshed_keeps_its_value_and_is_logged(running: Running) -> None:
    async def fail() -> None:
        raise RuntimeError("on purpose")

    running.service.telemetry.refresh_with(fail)
    found = await scrape(running.client)
    assert found.sum("items_ready") == 1
    await asyncio.to_thread(running.service.logs.close, 1)
    assert [
        line["error"]["message"] for line in map(json.loads, running.read_log()) if line["event"] == "metrics_stale"
    ]
