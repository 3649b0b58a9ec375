"""The shipped dashboard and rules: as they are made, and of metrics that there are."""

import json
import re
import shutil
import subprocess

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from lakehouse.prometheus.exposition import exposition
from tests.support.monitored import everything
from tools.monitoring_files import ALERTS, DASHBOARD, PANELS, RULES, expressions, made

_NAME = re.compile(r"\blakehouse_\w+")
_SELECTOR = re.compile(r"\b(lakehouse_\w+)\{([^}]*)\}")


def told():
    """The labels of each sample that an exposition has, by its name."""
    found = {}
    for family in text_string_to_metric_families(exposition([everything()]).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.mark.parametrize("path", made(), ids=str)
def test_the_files_are_as_they_are_made(path):
    assert path.read_text(encoding="utf-8") == made()[path], "python -m tools.monitoring_files"


@pytest.mark.parametrize("expr", expressions())
def test_an_expression_names_metrics_and_labels_that_there_are(expr):
    known = told()
    names = set(_NAME.findall(expr))
    assert names
    assert names <= known.keys()
    for name, selector in _SELECTOR.findall(expr):
        assert set(re.findall(r"(\w+)=", selector)) <= known[name]


def test_what_a_panel_and_a_rule_say_names_labels_that_their_metric_has():
    known = told()
    for panel in PANELS:
        for expr, legend in panel.targets:
            labels = set().union(*(known[name] for name in _NAME.findall(expr)))
            assert set(re.findall(r"{{(\w+)}}", legend)) <= labels
    for rule in ALERTS:
        labels = set().union(*(known[name] for name in _NAME.findall(rule.expr)))
        assert set(re.findall(r"\$labels\.(\w+)", rule.summary)) <= labels


def test_the_dashboard_is_what_grafana_imports():
    content = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in content["panels"]]
    assert len(set(places)) == len(places) == len(PANELS)
    assert len({panel["id"] for panel in content["panels"]}) == len(PANELS)
    variables = {each["name"] for each in content["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)\}?", json.dumps(content["panels"])))
    assert used <= variables | {"__rate_interval"}


def test_rules_have_names_of_their_own():
    (group,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    assert len({rule["alert"] for rule in group["rules"]}) == len(group["rules"]) == len(ALERTS)


UNIT_TESTS = """
rule_files: [{rules}]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: 'lakehouse_last_run_ok{{model="m", job="score"}}'
        values: '1x10 0x20'
      - series: 'lakehouse_last_run_ok{{model="m", job="rollback"}}'
        values: '0x30'
      - series: 'lakehouse_rows_total{{model="m", query="ingest", result="in"}}'
        values: '0+100x30'
      - series: 'lakehouse_rows_total{{model="m", query="ingest", result="rejected"}}'
        values: '0+10x30'
    alert_rule_test:
      - {{eval_time: 12m, alertname: LakehouseJobFailed, exp_alerts: []}}
      - eval_time: 20m
        alertname: LakehouseJobFailed
        exp_alerts:
          - exp_labels: {{severity: error, model: m, job: score}}
            exp_annotations: {{summary: "m: the newest run of score did not end well"}}
      - eval_time: 30m
        alertname: LakehouseRowsRejected
        exp_alerts:
          - exp_labels: {{severity: warning, model: m, query: ingest}}
            exp_annotations:
              summary: "m: ingest turned more than a twentieth of its rows away"
"""


def test_promtool_accepts_the_rules_and_they_fire_when_they_should(tmp_path):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    tests = tmp_path / "tests.yml"
    tests.write_text(UNIT_TESTS.format(rules=RULES.resolve()))
    for words in (["check", "rules", str(RULES)], ["test", "rules", str(tests)]):
        checked = subprocess.run([promtool, *words], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr
