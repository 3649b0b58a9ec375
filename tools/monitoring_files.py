"""Writes a Grafana dashboard and Prometheus rules to conf: python -m tools.monitoring_files

Both are made of the two lists below, so an expression stands in one place. `$model` is the
dashboard's variable.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from lakehouse.operations.rows import BY_THE_CLOCK

DASHBOARD, RULES = Path("conf/grafana/lakehouse.json"), Path("conf/prometheus/rules.yml")
_BY_THE_CLOCK = f'job=~"{"|".join(sorted(BY_THE_CLOCK))}"'
_OWN = 'model=~"$model"'
_WIDTH, _HEIGHT, _COLUMNS = 8, 7, 24
_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
_P95 = (
    "histogram_quantile({share}, sum by (model, query, le) "
    "(rate(lakehouse_batch_seconds_bucket{{{of}}}[{span}])))"
)


class PanelOf(NamedTuple):
    """A panel: what it shows, by which expressions, each with its legend, in which unit."""

    title: str
    targets: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: str = "timeseries"


class RuleOf(NamedTuple):
    """An alerting rule: when it fires, after how long, how grave it is, and what it says."""

    name: str
    expr: str
    after: str
    severity: str
    summary: str


PANELS = (
    PanelOf(
        "Newest run of each job ended well",
        ((f"lakehouse_last_run_ok{{{_OWN}}}", "{{job}}"),),
        kind="stat",
    ),
    PanelOf(
        "Since the newest good run",
        ((f"time() - lakehouse_last_success_timestamp_seconds{{{_OWN}}}", "{{job}}"),),
        "s",
        "stat",
    ),
    PanelOf("Open alerts", ((f"lakehouse_alert_open{{{_OWN}}}", "{{rule}}"),), kind="stat"),
    PanelOf(
        "Seconds of a micro-batch",
        tuple(
            (_P95.format(share=share, of=_OWN, span="$__rate_interval"), f"{{{{query}}}} {words}")
            for share, words in ((0.5, "median"), (0.95, "95 %"))
        ),
        "s",
    ),
    PanelOf(
        "Rows an hour",
        ((f"3600 * rate(lakehouse_rows_total{{{_OWN}}}[1h])", "{{query}} {{result}}"),),
    ),
    PanelOf("Files that wait", ((f"lakehouse_backlog_files{{{_OWN}}}", "{{query}}"),)),
    PanelOf("Bytes that wait", ((f"lakehouse_backlog_bytes{{{_OWN}}}", "{{query}}"),), "bytes"),
    PanelOf(
        "Age of the oldest that waits",
        ((f"lakehouse_oldest_waiting_seconds{{{_OWN}}}", "{{query}}"),),
        "s",
    ),
    PanelOf(
        "Errors a day",
        ((f"increase(lakehouse_errors_total{{{_OWN}}}[1d])", "{{job}} {{class}}"),),
    ),
    PanelOf(
        "Memory of the driver",
        (
            (f"lakehouse_heap_used_bytes{{{_OWN}}}", "{{query}} heap"),
            (f"lakehouse_heap_max_bytes{{{_OWN}}}", "{{query}} heap, most"),
            (f"lakehouse_python_peak_bytes{{{_OWN}}}", "{{query}} Python, peak"),
        ),
        "bytes",
    ),
    PanelOf(
        "Seconds since a table was written",
        (
            (
                f"lakehouse_table_commit_age_seconds{{{_OWN}}} + on (model) group_left "
                f"(time() - lakehouse_written_timestamp_seconds{{{_OWN}}})",
                "{{table}}",
            ),
        ),
        "s",
    ),
    PanelOf(
        "Accuracy of the newest final day, and its 95 % interval",
        (
            (f"lakehouse_accuracy{{{_OWN}}}", "{{model}}"),
            (f"lakehouse_accuracy_low{{{_OWN}}}", "low"),
            (f"lakehouse_accuracy_high{{{_OWN}}}", "high"),
        ),
        "percentunit",
    ),
    PanelOf(
        "Label coverage", ((f"lakehouse_label_coverage{{{_OWN}}}", "{{model}}"),), "percentunit"
    ),
    PanelOf("Population stability index by column", ((f"lakehouse_psi{{{_OWN}}}", "{{column}}"),)),
    PanelOf(
        "Version in production",
        ((f"lakehouse_champion_info{{{_OWN}}}", "version {{version}}"),),
        kind="stat",
    ),
)
ALERTS = (
    RuleOf(
        "LakehouseJobFailed",
        f"lakehouse_last_run_ok{{{_BY_THE_CLOCK}}} == 0",
        "5m",
        "error",
        "{{ $labels.model }}: the newest run of {{ $labels.job }} did not end well",
    ),
    RuleOf(
        "LakehouseJobMissing",
        f"time() - lakehouse_last_success_timestamp_seconds{{{_BY_THE_CLOCK}}} > 2 * 86400",
        "15m",
        "error",
        "{{ $labels.model }}: {{ $labels.job }} has not ended well for two days",
    ),
    RuleOf(
        "LakehouseMetricsStale",
        "time() - lakehouse_written_timestamp_seconds > 2 * 86400",
        "15m",
        "error",
        "{{ $labels.model }}: no job has written its metrics for two days",
    ),
    RuleOf(
        "LakehouseBatchesFail",
        'increase(lakehouse_batches_total{outcome="failed"}[1d]) > 0',
        "0m",
        "warning",
        "{{ $labels.model }}: micro-batches of {{ $labels.query }} fail",
    ),
    RuleOf(
        "LakehouseBatchesSlow",
        _P95.format(share=0.95, of="", span="1d") + " > 60",
        "1h",
        "warning",
        "{{ $labels.model }}: micro-batches of {{ $labels.query }} take more than a minute",
    ),
    RuleOf(
        "LakehouseBacklogGrows",
        "deriv(lakehouse_backlog_files[3h]) > 0 and lakehouse_backlog_files > 0",
        "3h",
        "warning",
        "{{ $labels.model }}: {{ $labels.query }} reads less than comes",
    ),
    RuleOf(
        "LakehouseBacklogOld",
        "lakehouse_oldest_waiting_seconds > 86400",
        "15m",
        "error",
        "{{ $labels.model }}: what {{ $labels.query }} is to read has waited for a day",
    ),
    RuleOf(
        "LakehouseRowsRejected",
        'increase(lakehouse_rows_total{result="rejected"}[1d]) > ignoring (result) '
        '0.05 * increase(lakehouse_rows_total{result="in"}[1d])',
        "0m",
        "warning",
        "{{ $labels.model }}: {{ $labels.query }} turned more than a twentieth of its rows away",
    ),
    RuleOf(
        "LakehouseAccuracyLow",
        "lakehouse_accuracy_high < quantile_over_time(0.5, lakehouse_accuracy[28d])",
        "1d",
        "error",
        "{{ $labels.model }}: accuracy stays credibly below its median of four weeks",
    ),
    RuleOf(
        "LakehouseLabelsMissing",
        "lakehouse_label_coverage < 0.5",
        "1h",
        "error",
        "{{ $labels.model }}: less than half of the newest final day's labels have come",
    ),
    RuleOf(
        "LakehouseColumnDrifted",
        "lakehouse_psi > 0.2",
        "1d",
        "warning",
        "{{ $labels.model }}: {{ $labels.column }} has drifted from the training data",
    ),
    RuleOf(
        "LakehouseAlertOpen",
        "lakehouse_alert_open > 0",
        "0m",
        "warning",
        "{{ $labels.model }}: {{ $labels.rule }} is open, see gold.alert_event",
    ),
)


def rules() -> str:
    """The alerting rules as Prometheus reads them."""
    written = [
        {
            "alert": rule.name,
            "expr": rule.expr,
            "for": rule.after,
            "labels": {"severity": rule.severity},
            "annotations": {"summary": rule.summary},
        }
        for rule in ALERTS
    ]
    head = "# Made by `python -m tools.monitoring_files`.\n"
    groups = {"groups": [{"name": "lakehouse", "rules": written}]}
    return head + yaml.safe_dump(groups, sort_keys=False, width=100)


def dashboard() -> str:
    """The dashboard as Grafana imports it."""
    content = {
        "title": "Lakehouse",
        "uid": "lakehouse",
        "description": "Made by `python -m tools.monitoring_files`.",
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "time": {"from": "now-7d", "to": "now"},
        "refresh": "1m",
        "templating": {"list": [_datasource(), _models()]},
        "panels": [_panel(place, panel) for place, panel in enumerate(PANELS)],
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def expressions() -> list[str]:
    """Every expression of both files."""
    shown = [expr for panel in PANELS for expr, _ in panel.targets]
    return [*shown, *(rule.expr for rule in ALERTS)]


def made() -> dict[Path, str]:
    """Return what both files should hold."""
    return {DASHBOARD: dashboard(), RULES: rules()}


def _panel(place: int, panel: PanelOf) -> dict[str, Any]:
    row, column = divmod(place * _WIDTH, _COLUMNS)
    return {
        "id": place + 1,
        "title": panel.title,
        "type": panel.kind,
        "datasource": _DATASOURCE,
        "gridPos": {"x": column, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + number), "expr": expr, "legendFormat": legend}
            for number, (expr, legend) in enumerate(panel.targets)
        ],
    }


def _datasource() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
    }


def _models() -> dict[str, Any]:
    return {
        "name": "model",
        "label": "Model",
        "type": "query",
        "datasource": _DATASOURCE,
        "query": "label_values(lakehouse_written_timestamp_seconds, model)",
        "refresh": 2,
        "multi": True,
        "includeAll": True,
    }


if __name__ == "__main__":
    for path, text in made().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
