"""Dashboards and alert rules speak of metrics that exist, with labels that they have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from terrapod_core.metrics import plugins
from terrapod_core.metrics.definitions import READINGS
from terrapod_core.plugin import PluginMetrics
from terrapod_sync.engine.metrics import Metrics
from tests.docs.metrics_page import Defined, defined
from tests.support import ROOT

FOLDER: Final = ROOT / "contrib/grafana"
DASHBOARDS: Final = sorted(FOLDER.glob("*.json"))
OF_PROMETHEUS: Final = {"job", "instance", "le"}
USE: Final = re.compile(r"\b(terrapod_\w+)(?:\{([^}]*)\})?")
GROUPING: Final = re.compile(r"\bby \(([^)]*)\)")


def names() -> dict[str, Defined]:
    """What a query may say, by name."""
    found = {}
    for each in (*defined(), *of_plugins()):
        for suffix in ("_bucket", "_sum", "_count") if each.kind == "histogram" else ("",):
            found[each.name + suffix] = each
    return found


def of_plugins() -> Iterator[Defined]:
    """The metrics of the plugins that have a dashboard."""
    Metrics(PluginMetrics("sync"))
    for name, each in plugins._made.items():
        yield Defined(name, type(each).__name__.lower(), tuple(each._labelnames), each._documentation)


def rules() -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def queries() -> Iterator[tuple[str, str]]:
    """Where a query stands, and the query."""
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                yield f"{path.name}: {panel['title']}", target["expr"]
    for rule in rules():
        yield f"alerts.yml: {rule['alert']}", rule["expr"]


@pytest.mark.parametrize(("where", "query"), list(queries()))
def test_a_query_names_metrics_and_labels_that_there_are(where: str, query: str) -> None:
    known, labels = names(), set(OF_PROMETHEUS)
    for name, matchers in USE.findall(query):
        assert name in known, f"{where}: there is no {name}"
        labels |= set(known[name].labels)
        used = set(re.findall(r"(\w+)\s*(?:=|!=|=~|!~)\s*\"", matchers))
        assert used <= set(known[name].labels) | OF_PROMETHEUS, f"{where}: {name} has no such label"
    grouped = {label.strip() for group in GROUPING.findall(query) for label in group.split(",")}
    assert grouped <= labels, f"{where}: {grouped - labels}"


@pytest.mark.parametrize(("where", "query"), list(queries()))
def test_what_every_server_tells_alike_is_never_added_up(where: str, query: str) -> None:
    readings = "|".join(reading.name for reading in READINGS)
    assert not re.search(rf"\bsum\b(?: by \([^)]*\))? \((?:{readings})\b", query), where


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_a_dashboard_can_be_imported(path: Path) -> None:
    board = json.loads(path.read_text())
    assert board["uid"]
    assert board["title"].startswith("Terrapod: ")
    assert [variable["name"] for variable in board["templating"]["list"]] == ["datasource", "job"]
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len(set(places)) == len(places)


def test_every_alert_says_what_is_wrong_and_how_bad_it_is() -> None:
    assert len({rule["alert"] for rule in rules()}) == len(rules())
    for rule in rules():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"]


def test_every_metric_of_the_core_is_on_a_dashboard_or_in_a_rule() -> None:
    said = {name for _, query in queries() for name, _ in USE.findall(query)}
    shown = {each.name for name, each in names().items() if name in said}
    assert not {each.name for each in defined()} - shown
