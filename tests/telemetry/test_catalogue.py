"""Dashboards and alerts trust the catalogue: what it says must be what the service shows, no more and no less."""

import pytest
from conftest import Running
from prometheus_client import Metric as Family
from scrapes import DURATION, OPENMETRICS, scrape

from devops_api.telemetry.catalogue import BORN, BORN_FAILURES, CATALOGUE, REQUEST_ERRORS, Metric, label_name

ITEM = {"name": "Test", "price": 9.99}
PARTS_OF_HISTOGRAMS = {"le"}


def base_name(family: Family) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


async def test_every_metric_of_the_catalogue_is_shown_under_its_name_kind_and_help(running: Running) -> None:
    families = {base_name(family): family for family in (await scrape(running.client)).families.values()}
    kinds = {"counter": "counter", "updowncounter": "gauge", "gauge": "gauge", "histogram": "histogram"}
    for metric in CATALOGUE:
        family = families[metric.prometheus_name]
        assert (family.type, family.documentation) == (kinds[metric.kind], metric.help)


async def test_nothing_is_shown_that_is_not_in_the_catalogue(running: Running) -> None:
    shown = {base_name(family) for family in (await scrape(running.client)).families.values()}
    assert shown == {metric.prometheus_name for metric in CATALOGUE} | {"target"}


async def test_labels_and_their_values_are_those_of_the_catalogue(running: Running) -> None:
    client = running.client
    async with client.post("/items", json=ITEM), client.get("/items/none"), client.post("/items", data=b"{"):
        pass
    families = {base_name(family): family for family in (await scrape(client)).families.values()}
    for metric in CATALOGUE:
        allowed = {label_name(attribute): values for attribute, values in metric.attributes.items()}
        for sample in families[metric.prometheus_name].samples:
            for label, value in sample.labels.items():
                if label in PARTS_OF_HISTOGRAMS or not value:
                    continue
                assert allowed[label] is None or value in allowed[label], (sample, label)


async def test_bounds_of_histograms_are_those_of_the_catalogue(running: Running) -> None:
    found = await scrape(running.client)
    for metric in (metric for metric in CATALOGUE if metric.kind == "histogram"):
        bounds = {sample.labels["le"] for sample in found.find(f"{metric.prometheus_name}_bucket")}
        assert bounds == {*map(str, metric.buckets), "+Inf"}


async def test_what_ratios_need_is_born_at_zero(running: Running) -> None:
    """An increase from nothing to 1 is no increase to Prometheus: the first failure of a series would be missed."""
    found = await scrape(running.client)
    for route, answers in BORN.items():
        for method, status in answers:
            for code, error_type in ((status, ""), *BORN_FAILURES):
                labels = {
                    "http_route": route,
                    "http_request_method": method,
                    "http_response_status_code": str(code),
                    "error_type": error_type,
                }
                assert [sample.value for sample in found.find(f"{DURATION}_count", **labels)] == [0.0], labels
    for metric in CATALOGUE:
        for attribute, values in metric.attributes.items():
            if metric.kind == "counter" and values is not None:
                shown = {s.labels[label_name(attribute)] for s in found.find(metric.prometheus_name)}
                assert shown == set(values)


async def test_what_is_born_is_what_the_router_serves(running: Running) -> None:
    served: dict[str, set[str]] = {}
    for route in running.service.app.router.routes():
        path = route.resource.canonical if route.resource else ""
        if path.startswith("/items"):
            served.setdefault(path, set()).add(route.method)
    for methods in served.values():
        methods -= {"*", "HEAD"}
    assert {route: {method for method, _ in answers} for route, answers in BORN.items()} == served
    assert {error for _, error in BORN_FAILURES} <= set(REQUEST_ERRORS)


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        (Metric("items.created", "counter", "{item}", ""), "items_created_total"),
        (Metric("process.cpu.time", "counter", "s", ""), "process_cpu_time_seconds_total"),
        (Metric("store.size", "gauge", "By", ""), "store_size_bytes"),
        (Metric("items.ready", "gauge", "", ""), "items_ready"),
    ],
)
def test_prometheus_names_follow_from_names_kinds_and_units(metric: Metric, name: str) -> None:
    assert metric.prometheus_name == name


async def test_totals_of_items_move_with_what_was_done(running: Running) -> None:
    client = running.client
    async with client.post("/items", json=ITEM) as reply:
        item_id = (await reply.json())["id"]
    async with client.post("/items/batch", json=[ITEM] * 3) as reply:
        assert reply.status == 201
    lines = b'{"name": "a", "price": 1, "sku": "s"}\n{"name": "", "price": 1}\n'
    for _ in range(2):
        headers = {"Content-Type": "application/x-ndjson"}
        async with client.post("/items/import?upsert=sku", data=lines, headers=headers) as reply:
            assert reply.status == 200
    async with client.put(f"/items/{item_id}", json=ITEM) as reply:
        assert reply.status == 200
    async with client.delete(f"/items/{item_id}") as reply:
        assert reply.status == 204
    for body, reason in ((b"{", 400), (b'{"name": 1}', 422)):
        headers = {"Content-Type": "application/json"}
        async with client.post("/items", data=body, headers=headers) as reply:
            assert reply.status == reason
    found = await scrape(client)
    assert found.sum("items_created_total") == 5
    assert found.sum("items_updated_total") == 2
    assert found.sum("items_deleted_total") == 1
    assert found.sum("items_imported_total") == 2
    assert found.sum("items_stored") == 4
    assert found.sum("items_rejected_total", reason="malformed") == 1
    assert found.sum("items_rejected_total", reason="invalid") == 3
    assert found.sum("store_writer_batch_size_count") > 0


async def test_the_exposition_says_which_build_it_is(running: Running) -> None:
    async with running.client.get("/health") as reply:
        version = (await reply.json())["version"]
    async with running.client.get("/metrics", headers={"Accept": OPENMETRICS}) as reply:
        text = await reply.text()
    assert f'service_version="{version}"' in text
    assert 'service_name="devops-api"' in text
