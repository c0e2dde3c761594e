"""The dashboard: what a panel asks for is there, and no panel lies on another."""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
from prometheus_client.metrics import MetricWrapperBase

from tests.deploy.manifests import REPOSITORY

DASHBOARD = json.loads((REPOSITORY / "deploy" / "grafana" / "dashboards" / "tollgate.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
PARTS = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_count", "_sum"], "info": ["_info"]}
"""What Prometheus adds to the name of a metric."""

OTHER_COLUMNS = {"le", "instance"}
"""Labels that Prometheus has by itself."""


def expressions() -> Iterator[str]:
    """Every query."""
    return (target["expr"] for panel in PANELS for target in panel.get("targets", []))


def defined() -> dict[str, set[str]]:
    """The names that there are, those of the parts of a histogram too, with their labels."""
    found = {}
    for module in ("extproc.metrics", "extproc.parent_metrics"):
        for metric in vars(pytest.importorskip(module)).values():
            for family in metric.describe() if isinstance(metric, MetricWrapperBase) else ():
                labels = set(metric._labelnames) | ({"revision"} if family.type == "info" else set())
                found.update({family.name + part: labels for part in PARTS[family.type]})
    return found


def test_every_metric_of_ours_is_defined() -> None:
    """A panel of a metric that nobody tells would be empty for ever, and look as if all were well."""
    asked = {name for expression in expressions() for name in re.findall(r"\btollgate_\w+", expression)}
    assert asked
    assert asked <= defined().keys()


def test_labels_are_those_of_the_metric() -> None:
    """What a query groups by, a metric in it has: else all would be one line without a name."""
    known = defined()
    for expression in expressions():
        named = {label for group in re.findall(r"by \(([\w, ]+)\)", expression) for label in group.split(", ")}
        for name in re.findall(r"\btollgate_\w+", expression):
            assert named - OTHER_COLUMNS <= known[name], expression


def test_legends_name_labels_that_are_kept() -> None:
    """A legend's label is one that its query groups by."""
    for panel in PANELS:
        for target in panel.get("targets", []):
            kept = {label for group in re.findall(r"by \(([\w, ]+)\)", target["expr"]) for label in group.split(", ")}
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= kept, panel["title"]


def test_panels_lie_beside_one_another() -> None:
    """Within the 24 columns, and no two at one place; ids are unique."""
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for one in PANELS:
        assert one["gridPos"]["x"] + one["gridPos"]["w"] <= 24
    for one, other in combinations((panel["gridPos"] for panel in PANELS), 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y


def test_every_query_is_for_the_chosen_prometheus() -> None:
    """No panel is tied to the data source of the machine on which it was drawn."""
    sources = [target["datasource"] for panel in PANELS for target in panel.get("targets", [])]
    assert {source["uid"] for source in sources} == {"${datasource}"}
