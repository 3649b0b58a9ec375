"""docs/alerts.md: its settings are right, its example comes out so, and it tells of every metric
and rule.
"""

import datetime as dt
import re
from pathlib import Path

import yaml

from lakehouse.alerts.conditions import begins, goes_on
from lakehouse.alerts.events import events_of, followed
from lakehouse.alerts.machine import Step
from lakehouse.alerts.metric_rows import DRIFTED_FEATURES
from lakehouse.alerts.notify import check_alerts
from lakehouse.alerts.operations import OPERATIONS
from lakehouse.alerts.rules import default_rules
from lakehouse.tables import catalog_of
from tests.support.alert_rows import DAY, START, Alert, model_with

PAGE = Path("docs/alerts.md").read_text(encoding="utf-8")
SHOWN = yaml.safe_load(PAGE.split("```yaml\n")[1].split("```")[0])["alerts"]


def table(header: str) -> list[list[str]]:
    lines = PAGE[PAGE.index(header) :].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


def test_the_settings_that_are_shown_are_accepted():
    model = model_with(**SHOWN)
    check_alerts(model, catalog_of(model))


def test_the_example_comes_out_as_it_is_shown():
    model = model_with(**SHOWN)
    (rule,) = [rule for rule in model.alerts.rules if rule.name == "accuracy_below_target"]
    rows = table("| day | accuracy_score |")
    steps, history = [], []
    for day, value, state, said in rows:
        found = float(value) if value else None
        start = START + int(day) * DAY
        verdicts = [of(rule, lambda _, found=found: found) for of in (begins, goes_on)]
        steps.append(Step(start, start + DAY, *verdicts))
        labels = {"alertname": rule.name, "model": model.name}
        alert = Alert(rule, labels, tuple(steps), start + DAY, dt.timedelta(days=1))
        now = followed(alert, history, model.alerts)
        new = events_of(now, None, model.alerts, start + DAY)
        history += new
        assert str(now.state.status) == state, day
        assert [event.kind for event in new] == ([said] if said else []), day


def test_every_metric_of_operations_is_told():
    told = re.findall(r"`(\w+)`", " ".join(row[0] for row in table("| metric | |")))
    assert sorted(told) == sorted([*OPERATIONS, DRIFTED_FEATURES])


def test_every_default_rule_has_its_runbook_on_the_page():
    headings = re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)
    assert headings == [rule.name for rule in default_rules()]
    assert {rule.runbook for rule in default_rules()} == {
        f"docs/alerts.md#{name}" for name in headings
    }


def test_the_severities_of_the_page_are_those_of_the_rules():
    for rule in default_rules():
        text = PAGE.split(f"### {rule.name}\n")[1]
        assert text.lower().startswith(rule.severity), rule.name
