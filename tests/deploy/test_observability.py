"""docs/observability.md and the alerts tell of the metrics that there are. `make golden` writes the tables anew."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Counter, Info
from prometheus_client.metrics import MetricWrapperBase

from extproc import metrics, parent_metrics

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs" / "observability.md"
ALERTS = REPOSITORY / "deploy" / "prometheus" / "alerts.yaml"
RULES: list[dict[str, Any]] = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]

BOUNDED = {
    *("outcome", "code", "reason", "reporter", "usage_source", "status", "class", "verb", "result", "child"),
    *("operation", "group", "channel", "model"),
}
"""Labels with as many values as the code or the YAML has words for."""

_PLACE = re.compile(r"(<!-- table: (.*?) -->\n).*?(<!-- end -->)", re.DOTALL)


def defined() -> list[MetricWrapperBase]:
    """Every metric, in the order of the code."""
    both = [*vars(metrics).values(), *vars(parent_metrics).values()]
    return [each for each in both if isinstance(each, MetricWrapperBase)]


def name_of(metric: MetricWrapperBase) -> str:
    """Its name, as Prometheus has it."""
    (family,) = metric.describe()
    return family.name + ("_total" if isinstance(metric, Counter) else "_info" if isinstance(metric, Info) else "")


def metric_rows() -> Iterator[str]:
    """The table of all metrics."""
    yield "| metric | type | labels | |\n|---|---|---|---|\n"
    for metric in defined():
        (family,) = metric.describe()
        labels = ", ".join(f"`{label}`" for label in metric._labelnames)
        labels = labels or ("`revision`" if isinstance(metric, Info) else "")
        yield f"| `{name_of(metric)}` | {family.type} | {labels} | {family.documentation} |\n"


def alert_rows() -> Iterator[str]:
    """The table of all alerts."""
    yield "| alert | severity | when |\n|---|---|---|\n"
    for rule in RULES:
        lasting = f" for {rule['for']}" if "for" in rule else ""
        yield f"| {rule['alert']} | {rule['labels']['severity']} | `{rule['expr']}`{lasting} |\n"


TABLES = {"metrics": metric_rows, "alerts": alert_rows}


def with_tables(text: str) -> str:
    """The page with each table made anew."""
    return _PLACE.sub(lambda place: f"{place[1]}{''.join(TABLES[place[2]]())}{place[3]}", text)


def test_the_page_has_the_metrics_of_the_code() -> None:
    """Every metric is in the table, with its type and labels, and every alert; no other is."""
    text = PAGE.read_text()
    if os.environ.get("TOLLGATE_REWRITE_GOLDEN"):
        PAGE.write_text(with_tables(text))
        text = PAGE.read_text()
    assert with_tables(text) == text
    assert [place[2] for place in _PLACE.finditer(text)] == list(TABLES)


def test_names_and_labels_are_as_they_should_be() -> None:
    """A name begins with ours and ends in its unit; no label has as many values as there are customers."""
    names = [name_of(metric) for metric in defined()]
    assert sorted(names) == sorted(set(names))
    for metric, name in zip(defined(), names, strict=True):
        assert name.startswith("tollgate_")
        assert set(metric._labelnames) <= BOUNDED
        for unit in ("seconds", "bytes", "nano_usd"):
            assert unit not in name or name.removesuffix("_total").endswith(unit)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_is_about_metrics_that_exist(rule: dict[str, Any]) -> None:
    """It names one of ours, says in a sentence what is the matter, and what to do."""
    named = set(re.findall(r"tollgate_\w+", rule["expr"]))
    assert named
    assert named <= {name_of(metric) for metric in defined()}
    assert set(rule["annotations"]) == {"summary", "description"}
    assert rule["labels"]["severity"] in ("page", "ticket")


def _steady(name: str, values: str) -> dict[str, str]:
    return {"series": f'{name}{{instance="one"}}', "values": values}


STEPS = "0+0x3 5+0x30"
"""15 s apart: 0 for a minute, then something has happened."""

FIRES: dict[str, list[dict[str, str]]] = {
    "TollgateAway": [],
    "TollgateWorkersMissing": [_steady("tollgate_workers_serving", "1x40"), _steady("tollgate_workers_wanted", "2x40")],
    "TollgateChildrenRestart": [{"series": 'tollgate_child_restarts_total{child="Envoy"}', "values": STEPS}],
    "TollgateLedgerAway": [_steady("tollgate_redis_up", "0x40")],
    "TollgateLedgerFails": [_steady("tollgate_ledger_unavailable_total", "0+5x40")],
    "TollgateRedisNotDurable": [_steady("tollgate_redis_warnings", "1x40")],
    "TollgateReportsWaiting": [_steady("tollgate_reports_waiting", "3x40")],
    "TollgateReportsInMemory": [_steady("tollgate_reports_in_memory", "3x40")],
    "TollgateReportsDropped": [_steady("tollgate_reports_dropped_total", STEPS)],
    "TollgateJournalBehind": [_steady("tollgate_journal_lag_seconds", "61x40")],
    "TollgateHoldsExpired": [_steady("tollgate_holds_expired_total", STEPS)],
    "TollgateHoldsOverdue": [_steady("tollgate_hold_overdue_seconds", "61x40")],
    "TollgateSettledLate": [_steady("tollgate_settlements_late_total", STEPS)],
    "TollgateUsageInDoubt": [_steady("tollgate_usage_doubts_total", STEPS)],
    "TollgateMetersDisagree": [{"series": 'tollgate_reports_refused_total{outcome="disagrees"}', "values": STEPS}],
    "TollgateReportsRefused": [{"series": 'tollgate_reports_refused_total{outcome="too_late"}', "values": STEPS}],
    "TollgateOverruns": [_steady("tollgate_overrun_nano_usd_total", "0 2000000000x40")],
    "TollgateReloadFailed": [_steady("tollgate_reload_failed", "1x40")],
    "TollgateReloadWaiting": [_steady("tollgate_reload_waiting", "1x40")],
}
"""What there is to see when an alert has to fire."""


def _calm() -> list[dict[str, str]]:
    """A gateway that is well."""
    wrong = {"tollgate_redis_up": "1x40", "tollgate_workers_serving": "2x40", "tollgate_workers_wanted": "2x40"}
    names = set(re.findall(r"tollgate_\w+", "".join(rule["expr"] for rule in RULES)))
    return [_steady(name, wrong.get(name, "0x40")) for name in sorted(names)]


def _case(series: list[dict[str, str]], alert: str, fires: bool) -> dict[str, Any]:
    """After eight minutes, whether it fires."""
    count = f'count(ALERTS{{alertname="{alert}", alertstate="firing"}}) or vector(0)'
    expected = [{"labels": "{}", "value": int(fires)}]
    return {
        "interval": "15s",
        "input_series": series,
        "promql_expr_test": [{"expr": count, "eval_time": "8m", "exp_samples": expected}],
    }


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)")
def test_prometheus_fires_each_alert_when_it_should_and_only_then(tmp_path: Path) -> None:
    """promtool accepts the rules; each fires on what it is about, and none on a gateway that is well."""
    assert set(FIRES) == {rule["alert"] for rule in RULES}
    cases = [_case(series, alert, fires=True) for alert, series in FIRES.items()]
    cases += [_case(_calm(), alert, fires=False) for alert in FIRES]
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(ALERTS)], "evaluation_interval": "15s", "tests": cases}))
    for command in (["check", "rules", str(ALERTS)], ["test", "rules", str(file)]):
        ended = subprocess.run(["promtool", *command], capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
