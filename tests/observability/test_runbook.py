"""On-call engineers follow an alert to the runbook and the Alertmanager: both must name what the rules name."""

import re
from pathlib import Path

import pytest
import yaml
from promtool import run_tool
from walk import load_alerts, load_dashboards

FOLDER = Path(__file__).parents[2] / "observability"
RUNBOOK = FOLDER / "runbook.md"
ALERTMANAGER = FOLDER / "alertmanager" / "alertmanager.yml"
ALERTS = load_alerts()
NAMES = sorted({rule["alert"] for rule in ALERTS})
PARTS = ["What users notice.", "First look.", "Likely causes.", "What to do."]


def read_headings() -> dict[str, str]:
    """Return the runbook's text by heading."""
    parts = re.split(r"^## (\w+)$", RUNBOOK.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_runbook_has_a_heading_for_each_alert_and_no_other() -> None:
    assert set(read_headings()) == set(NAMES), "every alert needs a heading in runbook.md, and every heading an alert"
    for rule in ALERTS:
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert page.endswith("/observability/runbook.md")
        assert anchor == rule["alert"].lower()


@pytest.mark.parametrize("name", NAMES)
def test_a_heading_states_effect_on_users_first_look_causes_and_remedy_in_this_order(name: str) -> None:
    text = read_headings()[name]
    assert text.startswith(f"\n\n**{PARTS[0]}**")
    assert re.findall(r"^\*\*([^*]+)\*\*", text, flags=re.MULTILINE) == PARTS
    titles = {panel["title"] for dashboard in load_dashboards().values() for panel in dashboard["panels"]}
    for title in re.findall(r"[Dd]ashboard \*[^*]+\*: \*([^*]+)\*", text.replace("\n", " ")):
        assert title in titles, f"no panel is called {title!r}"


def test_links_in_the_runbook_lead_to_its_headings() -> None:
    anchors = {name.lower() for name in read_headings()}
    assert set(re.findall(r"\]\(#(\w+)\)", RUNBOOK.read_text(encoding="utf-8"))) <= anchors


def test_the_alertmanager_accepts_its_configuration() -> None:
    run_tool("amtool", "check-config", str(ALERTMANAGER))


def test_the_alertmanager_inhibits_alerts_by_names_and_severities_that_exist() -> None:
    config = yaml.safe_load(ALERTMANAGER.read_text(encoding="utf-8"))
    matchers = [
        matcher for rule in config["inhibit_rules"] for matcher in (*rule["source_matchers"], *rule["target_matchers"])
    ]
    for label, _, value in (re.fullmatch(r'(\w+) (=|!=) "(.*)"', matcher).groups() for matcher in matchers):
        if label == "alertname":
            assert value in NAMES
        if label == "severity":
            assert value in {rule["labels"]["severity"] for rule in ALERTS}
