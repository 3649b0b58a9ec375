"""Alerts in a model's YAML: what is wrong is said with what to write instead; no secret is shown."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
import yaml

from lakehouse.errors import ConfigurationError
from lakehouse.settings import ModelSettings, WindowCount, load_model_settings
from tests.support.alert_rows import GLASSWARE

LOW = {"name": "low", "metric": "accuracy_score", "below": 0.9}


def loaded(tmp_path: Path, **alerts: Any) -> ModelSettings:
    path = tmp_path / "model.yaml"
    path.write_text(yaml.safe_dump(GLASSWARE | {"alerts": alerts}))
    return load_model_settings(path)


def test_without_a_word_there_are_no_channels_and_no_rules_of_the_models_own(tmp_path):
    alerts = loaded(tmp_path).alerts
    assert (alerts.rules, alerts.channels, alerts.repeat_after) == ((), (), dt.timedelta(days=3))


@pytest.mark.parametrize(
    ("text", "m", "n"), [("2 of 3 windows", 2, 3), ("1 window", 1, 1), ("4 windows", 4, 4)]
)
def test_windows_are_written_in_words(tmp_path, text, m, n):
    (rule,) = loaded(tmp_path, rules=[{**LOW, "for": text}]).alerts.rules
    assert rule.for_ == WindowCount(m=m, n=n)


def test_conditions_nest(tmp_path):
    inner = {"any": [LOW | {"name": "x"}, {"metric": "count", "above": 1}]}
    inner["any"][0].pop("name")
    (rule,) = loaded(
        tmp_path, rules=[{"name": "deep", "all": [inner, {"not": inner}]}]
    ).alerts.rules
    assert [leaf.metric for leaf in rule.leaves] == ["accuracy_score", "count"] * 2


def channel(**given: Any) -> dict[str, Any]:
    return {"channels": [given]}


def of_rule(**given: Any) -> dict[str, Any]:
    return {"rules": [{**LOW, **given}]}


WRONG = [
    (of_rule(bellow=1), "is not a setting; write one of metric, column"),
    (of_rule(**{"for": "3 of 2 windows"}), "rules.0.for: write so many of so many windows"),
    (of_rule(**{"for": "twice"}), "rules.0.for: write so many of so many windows"),
    (of_rule(above=1), "write either `above` or `below`"),
    (of_rule(below=None), "write either `above` or `below`"),
    (of_rule(metric=None), "write one of `metric`, `all`, `any` or `not`"),
    (of_rule(all=[LOW]), "rules.0"),
    (of_rule(recovers_above=0.8), "recovers_above is below `below`"),
    (of_rule(recovers_below=0.95), "write `recovers_above` beside `below`"),
    (of_rule(below=None, above=1, recovers_below=2), "recovers_below is above `above`"),
    (of_rule(below=None, above=1, recovers_above=2), "write `recovers_below` beside `above`"),
    (of_rule(below="yes"), "below"),
    (of_rule(severity="fatal"), "rules.0.severity"),
    (of_rule(escalate={"severity": "critical"}), "write either `after` or `when`"),
    ({"rules": [LOW, LOW]}, "low stands there more than once"),
    (channel(kind="pagerduty"), "key_from: is missing; write it for pagerduty"),
    (channel(kind="slack"), "url_from: is missing; write it for slack"),
    (channel(kind="email", url_from="SMTP"), "sender, to: is missing; write it for email"),
    (channel(kind="teams"), "kind"),
    (
        {"channels": [{"kind": "slack", "url_from": "A"}, {"kind": "slack", "url_from": "B"}]},
        "slack stands there more than once",
    ),
    ({"repeat_after": "daily"}, "alerts.repeat_after: write a number and a unit"),
    ({"flapping": {"changes": 1}}, "alerts.flapping.changes"),
]


@pytest.mark.parametrize(("alerts", "words"), WRONG, ids=[str(wrong) for wrong, _ in WRONG])
def test_a_wrong_setting_gives_a_sentence(tmp_path, alerts, words):
    with pytest.raises(ConfigurationError) as found:
        loaded(tmp_path, **alerts)
    assert words in str(found.value)


@pytest.mark.parametrize("key", ["key_from", "url_from", "token_from"])
def test_a_secret_in_the_place_of_its_variable_is_refused_and_not_shown(tmp_path, key):
    secret = "https://hooks.example.com/services/T000/s3cret"
    given = {"kind": "webhook", "url_from": "HOOK", key: secret}
    with pytest.raises(ConfigurationError, match="write the name of an environment variable") as e:
        loaded(tmp_path, channels=[given])
    assert "s3cret" not in str(e.value)
