"""Dashboards and alerts trust the catalogue: the service shows exactly the metrics that it declares."""

from conftest import Running
from prometheus_client import Metric as Family
from samples import ITEM
from scrapes import DURATION, OPENMETRICS, scrape

from devops_api.items.metrics import CATALOGUE
from devops_api.telemetry.catalogue import REQUEST_ERRORS, label_name
from devops_api.telemetry.requests import INITIAL_FAILURES

PARTS_OF_HISTOGRAMS = {"le"}
INITIAL = {
    "/items": {"GET": 200, "POST": 201},
    "/items/{id}": {"GET": 200, "PUT": 200, "PATCH": 200, "DELETE": 204},
    "/items/batch": {"POST": 201},
    "/items/import": {"POST": 200},
    "/items/export": {"GET": 200},
}


def base_name(family: Family) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


async def test_every_declared_metric_is_shown_with_its_name_kind_and_help(running: Running) -> None:
    families = {base_name(family): family for family in (await scrape(running.client)).families.values()}
    kinds = {"counter": "counter", "updowncounter": "gauge", "gauge": "gauge", "histogram": "histogram"}
    for metric in CATALOGUE:
        family = families[metric.prometheus_name]
        assert (family.type, family.documentation) == (kinds[metric.kind], metric.help)


async def test_only_declared_metrics_are_shown(running: Running) -> None:
    shown = {base_name(family) for family in (await scrape(running.client)).families.values()}
    assert shown == {metric.prometheus_name for metric in CATALOGUE} | {"target"}


async def test_labels_and_their_values_are_declared(running: Running) -> None:
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


async def test_bounds_of_histograms_are_the_declared_ones(running: Running) -> None:
    found = await scrape(running.client)
    for metric in (metric for metric in CATALOGUE if metric.kind == "histogram"):
        bounds = {sample.labels["le"] for sample in found.find(f"{metric.prometheus_name}_bucket")}
        assert bounds == {*map(str, metric.buckets), "+Inf"}


async def test_series_that_ratios_need_exist_at_zero(running: Running) -> None:
    """Prometheus sees no increase from a missing series to 1: it would miss the first failure."""
    found = await scrape(running.client)
    for route, statuses in INITIAL.items():
        for method, status in statuses.items():
            for code, error_type in ((status, ""), *INITIAL_FAILURES):
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


async def test_every_route_of_items_has_initial_series(running: Running) -> None:
    served: dict[str, set[str]] = {}
    for route in running.service.app.router.routes():
        path = route.resource.canonical if route.resource else ""
        if path.startswith("/items"):
            served.setdefault(path, set()).add(route.method)
    for methods in served.values():
        methods -= {"*", "HEAD"}
    assert {path: set(statuses) for path, statuses in INITIAL.items()} == served
    assert {error for _, error in INITIAL_FAILURES} <= set(REQUEST_ERRORS)


async def test_totals_of_items_count_every_kind_of_change(running: Running) -> None:
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


async def test_the_exposition_names_the_service_and_its_version(running: Running) -> None:
    async with running.client.get("/health") as reply:
        version = (await reply.json())["version"]
    async with running.client.get("/metrics", headers={"Accept": OPENMETRICS}) as reply:
        text = await reply.text()
    assert f'service_version="{version}"' in text
    assert 'service_name="devops-api"' in text
