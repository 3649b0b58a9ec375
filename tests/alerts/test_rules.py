"""Rules that stand without YAML, rules of the model, and errors that say what to write."""

import pytest

from lakehouse.alerts.notify import check_alerts
from lakehouse.alerts.rules import default_rules, rules_of
from lakehouse.errors import ConfigurationError
from lakehouse.settings import load_model_settings
from lakehouse.tables import catalog_of
from tests.support.alert_rows import model_with

LOSS = {"metric": "log_loss", "below": 1}
LOW = {"name": "low", "metric": "accuracy_score", "below": 0.9}


def test_the_default_rules_are_right_by_themselves():
    check_alerts(model := load_model_settings("conf/glassware.yaml"), catalog_of(model))
    assert rules_of(model.alerts) == default_rules()


def test_a_default_rule_can_be_left_out_or_replaced():
    model = model_with(
        without=["nothing_scored"], rules=[{**LOW, "name": "accuracy_low", "severity": "critical"}]
    )
    found = {rule.name: rule for rule in rules_of(model.alerts)}
    assert "nothing_scored" not in found
    assert found["accuracy_low"].metric == "accuracy_score"
    assert len(found) == len(default_rules()) - 1


@pytest.mark.parametrize(
    "given",
    [
        {**LOW, "metric": "f1_score.macro"},
        {**LOW, "metric": "ks_test.pvalue", "column": "*"},
        {**LOW, "metric": "drifted_features"},
        {"name": "both", "all": [{"metric": "accuracy_fall", "above": 0}, {"not": LOSS}]},
    ],
)
def test_a_rule_may_name_any_number_of_the_metric_tables_and_of_operations(given):
    model = model_with(rules=[given])
    check_alerts(model, catalog_of(model))


WRONG = [
    ({"rules": [{**LOW, "granularity": "1 hour"}]}, "granularity: there are no such windows"),
    ({"rules": [{**LOW, "metric": "acuracy"}]}, "acuracy is no metric; write one of"),
    ({"rules": [{**LOW, "metric": "f1_score"}]}, "f1_score is no metric"),
    ({"rules": [{**LOW, "metric": "frequent_items"}]}, "frequent_items is no metric"),
    ({"without": ["acuracy"]}, "alerts.without: acuracy is no default rule; write one of"),
    ({"rules": [{**LOW, "inhibited_by": ["high"]}]}, "high is no rule"),
    (
        {"rules": [{**LOW, "metric": "rollbacks", "for": "2 of 3 windows"}]},
        "alerts.rules.0.for: leave it out",
    ),
    (
        {
            "rules": [
                {**LOW, "inhibited_by": ["high"]},
                {**LOW, "name": "high", "inhibited_by": ["low"]},
            ]
        },
        "inhibits itself",
    ),
    (
        {
            "rules": [
                {
                    "name": "mixed",
                    "granularity": "1 week",
                    "all": [
                        {"metric": "accuracy_fall", "above": 0},
                        {"metric": "accuracy_score", "below": 0.9},
                    ],
                }
            ]
        },
        "write `1 day`",
    ),
]


@pytest.mark.parametrize(("alerts", "words"), WRONG, ids=[words for _, words in WRONG])
def test_a_rule_that_names_what_is_not_there_is_refused_with_what_to_write(alerts, words):
    model = model_with(**alerts)
    with pytest.raises(ConfigurationError, match=words):
        check_alerts(model, catalog_of(model))
