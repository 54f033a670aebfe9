"""Draw the generated boards with live data of a real Prometheus, as Grafana's own components draw them.

python -m observability.preview --prometheus http://127.0.0.1:9090 --minutes 15

Needs Node.js, `npm ci` in this folder, and Chromium. Pictures are previews, and say so: they are not Grafana's.
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
BOARDS: Final = HERE.parent / "generated" / "dashboards"
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
WIDTH_PX: Final = 1600
ROW_PX: Final = 38
HEADER_PX: Final = 40
SAMPLES: Final = 300
MINUTE_S: Final = 60
PAGE: Final = """<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="{build}/page.css">
<style>body {{ margin: 0 }}</style><div id="board"></div>
<script>window.PREVIEW = {data}</script><script type="module" src="{build}/page.js"></script>"""


def main(arguments: list[str] | None = None) -> int:
    """Run, and give back the exit code."""
    parser = argparse.ArgumentParser(prog="python -m observability.preview", description="Draw the boards.")
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090", help="whom to ask (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=15, help="the time shown (default: %(default)g)")
    parser.add_argument("--folder", type=Path, default=HERE / "build", help="where the pictures go")
    options = parser.parse_args(arguments)
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.stderr.write(f"one of {', '.join(BROWSERS)} is needed on PATH\n")
        return 1
    subprocess.run(["npm", "run", "--silent", "build"], cwd=HERE, check=True)  # noqa: S607 - whatever npm is there
    options.folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(BOARDS.glob("*.json")):
        board = json.loads(path.read_text(encoding="utf-8"))
        picture = options.folder / f"{path.stem}.png"
        draw(browser, board, ask(board, options.prometheus, options.minutes * MINUTE_S), picture)
        sys.stdout.write(f"{picture}\n")
    return 0


def ask(board: Mapping[str, Any], prometheus: str, length_s: float) -> Mapping[str, Any]:
    """What the page draws: the board, and every answer by its panel's id and the query's letter."""
    now = time.time()
    answers: dict[str, Any] = {}
    for panel, target in _iterate_targets(board):
        expr = interpolate(target["expr"], length_s)
        span = {"query": expr, "start": now - length_s, "end": now}
        result = _call(prometheus, "query_range", {**span, "step": length_s / SAMPLES})["result"]
        key = f"{panel['id']}{target['refId']}"
        answers[key] = [{"labels": series["metric"], "points": series["values"]} for series in result]
        if target.get("exemplar"):
            answers[f"{panel['id']}exemplars"] = [
                [exemplar["timestamp"], float(exemplar["value"])]
                for series in _call(prometheus, "query_exemplars", span)
                for exemplar in series["exemplars"]
            ]
    return {"board": board, "answers": answers, "from_ms": (now - length_s) * 1e3, "to_ms": now * 1e3}


def interpolate(expr: str, length_s: float) -> str:
    """The expression with everything chosen, as Grafana asks it for the time shown."""
    chosen = {"$job": ".+", "$instance": ".+", "$route": ".+"}
    window = {"$__rate_interval": "1m", "$__range": f"{length_s:g}s"}
    for name, value in (chosen | window).items():
        expr = expr.replace(name, value)
    return expr


def draw(browser: str, board: Mapping[str, Any], data: Mapping[str, Any], picture: Path) -> None:
    """Let the browser draw the page, as high as the board is."""
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"])
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        text = json.dumps(data).replace("</", "<\\/")
        page.write_text(PAGE.format(data=text, build=(HERE / "build").as_uri()), encoding="utf-8")
        command = [
            browser,
            "--headless",
            "--no-sandbox",  # The page is ours, and containers lack what the sandbox needs.
            "--hide-scrollbars",
            "--allow-file-access-from-files",
            "--virtual-time-budget=20000",
            f"--user-data-dir={folder}/profile",
            f"--window-size={WIDTH_PX},{HEADER_PX + rows * ROW_PX}",
            f"--screenshot={picture.resolve()}",
            page.as_uri(),
        ]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - a browser on our own page


def _iterate_targets(board: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            yield panel, target


def _call(prometheus: str, path: str, parameters: Mapping[str, Any]) -> Any:
    url = f"{prometheus}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=60) as reply:  # noqa: S310 - whatever Prometheus was named
        return json.load(reply)["data"]


if __name__ == "__main__":
    raise SystemExit(main())
