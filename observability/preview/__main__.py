"""Draw the generated dashboards with live data from a Prometheus, using Grafana's own components.

python -m observability.preview --prometheus http://127.0.0.1:9090 --minutes 15

Needs Node.js, `npm ci` in this folder, and Chromium. The images are previews, not screenshots of Grafana, and say so.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
DASHBOARDS: Final = HERE.parent / "generated" / "dashboards"
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
WIDTH_PX: Final = 1600
ROW_PX: Final = 38
HEADER_PX: Final = 40
SAMPLES: Final = 300
MINUTE_S: Final = 60
PAGE: Final = """<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="{build}/page.css">
<style>body {{ margin: 0 }}</style><div id="dashboard"></div>
<script>window.PREVIEW = {data}</script><script type="module" src="{build}/page.js"></script>"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m observability.preview", description="Draw the dashboards.")
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090", help="default: %(default)s")
    parser.add_argument("--minutes", type=float, default=15, help="minutes to show (default: %(default)g)")
    parser.add_argument("--folder", type=Path, default=HERE / "build", help="folder of the images")
    options = parser.parse_args(arguments)
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.stderr.write(f"no browser on PATH: install one of {', '.join(BROWSERS)}\n")
        return 1
    subprocess.run(["npm", "run", "--silent", "build"], cwd=HERE, check=True)  # noqa: S607 - npm from PATH
    options.folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(DASHBOARDS.glob("*.json")):
        dashboard = json.loads(path.read_text(encoding="utf-8"))
        image = options.folder / f"{path.stem}.png"
        draw(browser, dashboard, query(dashboard, options.prometheus, options.minutes * MINUTE_S), image)
        sys.stdout.write(f"{image}\n")
    return 0


def query(dashboard: Mapping[str, Any], prometheus: str, length_s: float) -> Mapping[str, Any]:
    """Return the page's data: the dashboard, and the results by panel id and letter of the query."""
    now = time.time()
    results: dict[str, Any] = {}
    for panel, target in _iterate_targets(dashboard):
        expr = interpolate(target["expr"], length_s)
        span = {"query": expr, "start": now - length_s, "end": now}
        result = _call(prometheus, "query_range", {**span, "step": length_s / SAMPLES})["result"]
        key = f"{panel['id']}{target['refId']}"
        results[key] = [{"labels": series["metric"], "points": series["values"]} for series in result]
        if target.get("exemplar"):
            results[f"{panel['id']}exemplars"] = [
                [exemplar["timestamp"], float(exemplar["value"])]
                for series in _call(prometheus, "query_exemplars", span)
                for exemplar in series["exemplars"]
            ]
    return {"dashboard": dashboard, "results": results, "from_ms": (now - length_s) * 1e3, "to_ms": now * 1e3}


def interpolate(expr: str, length_s: float) -> str:
    """Return the expression as Grafana would send it, with all values chosen."""
    chosen = {"$job": ".+", "$instance": ".+", "$route": ".+"}
    window = {"$__rate_interval": "1m", "$__range": f"{length_s:g}s"}
    for name, value in (chosen | window).items():
        expr = expr.replace(name, value)
    return expr


def draw(browser: str, dashboard: Mapping[str, Any], data: Mapping[str, Any], image: Path) -> None:
    """Let the browser draw the page at the height of the dashboard and save it as an image."""
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        text = json.dumps(data).replace("</", "<\\/")
        page.write_text(PAGE.format(data=text, build=(HERE / "build").as_uri()), encoding="utf-8")
        command = [
            browser,
            "--headless",
            "--no-sandbox",  # The page is our own, and the sandbox does not work in containers.
            "--hide-scrollbars",
            "--allow-file-access-from-files",
            "--virtual-time-budget=20000",
            f"--user-data-dir={folder}/profile",
            f"--window-size={WIDTH_PX},{HEADER_PX + rows * ROW_PX}",
            f"--screenshot={image.resolve()}",
            page.as_uri(),
        ]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - a browser on our own page


def _iterate_targets(dashboard: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel, target


def _call(prometheus: str, path: str, parameters: Mapping[str, Any]) -> Any:
    url = f"{prometheus}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=60) as response:  # noqa: S310 - an address that the user gave
        return json.load(response)["data"]


if __name__ == "__main__":
    raise SystemExit(main())
