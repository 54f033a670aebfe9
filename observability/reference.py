"""Write what is documented from the code: the README's table of settings and `otel/reference.md`.

python -m observability.reference            write
python -m observability.reference --check    exit 1 and name the file that is not what the code makes
"""

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from devops_api.items.metrics import CATALOGUE, Metric
from devops_api.logs.writer import EVENTS
from devops_api.settings.service import PREFIX, Settings, iterate_settings

ROOT: Final = Path(__file__).parent.parent
_SECTION: Final = re.compile(r"(<!-- settings: .*? -->\n).*?(<!-- /settings -->)", re.DOTALL)


def main(arguments: Sequence[str]) -> int:
    """Write the files, or with --check compare them; the exit code."""
    readme, reference = ROOT / "README.md", ROOT / "otel" / "reference.md"
    files = {readme: fill_readme(readme.read_text("utf-8")), reference: describe_telemetry()}
    if "--check" not in arguments:
        for path, text in files.items():
            path.write_text(text, "utf-8")
        return 0
    stale = [path.name for path, text in files.items() if path.read_text("utf-8") != text]
    for name in stale:
        sys.stdout.write(f"{name} is not what the code makes: run `make docs` and commit what it writes\n")
    return 1 if stale else 0


def fill_readme(text: str) -> str:
    """The README with its table of settings made anew."""
    return _SECTION.sub(lambda match: f"{match[1]}{describe_settings()}{match[2]}", text)


def describe_settings() -> str:
    """Every setting of the service."""
    defaults = Settings()
    rows = [
        (f"`{PREFIX}{name.upper()}`", _show_default(getattr(defaults, name)), setting.meaning, setting.accepts)
        for name, setting in iterate_settings()
    ]
    return _make_table(("variable", "default", "meaning", "accepts"), rows)


def describe_telemetry() -> str:
    """Every metric, span and log event that the service can emit."""
    metrics = _make_table(
        ("metric", "in Prometheus", "kind", "unit", "attributes", "meaning"), map(_describe_metric, CATALOGUE)
    )
    events = _make_table(
        ("event", "level", "fields", "meaning"),
        [
            (f"`{name}`", event.level, ", ".join(f"`{field}`" for field in event.fields), event.meaning)
            for name, event in EVENTS.items()
        ],
    )
    return f"""# Telemetry reference

Made by `make docs` from `devops_api.telemetry.catalogue` and `devops_api.logs.writer`; change those, not this file.

## Metrics

{metrics}
## Spans

{_make_table(("span", "kind", "when", "attributes"), _SPANS)}
## Log events

Every line also has `timestamp`, `level`, `event`, and where there is a request `request_id`, `trace_id` and `span_id`.

{events}"""


def _describe_metric(metric: Metric) -> tuple[str, ...]:
    attributes = "; ".join(
        f"`{name}`" + (f": {', '.join(values)}" if values else "") for name, values in metric.attributes.items()
    )
    return f"`{metric.name}`", f"`{metric.prometheus_name}`", metric.kind, metric.unit, attributes, metric.help


_SPANS: Final = (
    (
        "`GET /items/{id}`, method and route",
        "server",
        "a sampled request",
        "`http.request.method`, `http.route`, `http.response.status_code`, `url.path`, `url.scheme`, `error.type`, …",
    ),
    (
        "`get items`, operation and table",
        "client",
        "a store call of it",
        "`db.system.name`, `db.operation.name`, `error.type`",
    ),
)


def _show_default(value: object) -> str:
    if value is None:
        return "unset"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _make_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |\n" for line in lines)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
