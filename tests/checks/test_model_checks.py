"""Each test of a model by itself finds what it is for, and passes what the product trains."""

from dataclasses import fields as dataclass_fields
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from lakehouse.checks.check import Check, demanding, refusal_of
from lakehouse.checks.model_checks import Subject, model_checks
from lakehouse.models import Classification, Features, Regression
from lakehouse.models.trials import TrainingSet, Trial, build
from lakehouse.settings import ModelSettings
from lakehouse.tables import catalog_of
from lakehouse.tables.arrow_types import arrow_schema
from tests.support.alert_rows import GLASSWARE

FEATURES = Features(("temp", "pressure"), ("furnace",))
MODEL = ModelSettings.model_validate(GLASSWARE)


class Odd:
    """A pipeline that answers as another one, changed by a function of rows and outputs."""

    def __init__(self, pipeline, change):
        self._pipeline, self._change = pipeline, change

    def __getattr__(self, name):
        return getattr(self._pipeline, name)

    def predict_proba(self, rows):
        return self._change(rows, self._pipeline.predict_proba(rows))

    def predict(self, rows):
        return self._change(rows, self._pipeline.predict(rows))


def subject(problem=None, family="random_forest", **parameters):
    random = np.random.default_rng(1)
    rows = pd.DataFrame(
        {
            "temp": 350 + 10 * random.random(120),
            "pressure": np.where(random.random(120) < 0.1, np.nan, 12 + random.random(120)),
            "furnace": random.choice(["north", "south", None], 120),
        }
    )
    problem = problem or Classification((0, 1), 1)
    rows = FEATURES.frame(rows)
    height = rows["temp"].to_numpy() - 350
    targets = height if isinstance(problem, Regression) else (height > 5).astype(int)
    data = TrainingSet(FEATURES, problem, rows, targets, np.ones(120, dtype=bool), 0)
    pipeline = build(Trial("", family, parameters), data).fit(rows, targets)
    return Subject(pipeline, FEATURES, problem, rows, 5.0)


@pytest.fixture(scope="module")
def forest():
    return subject(n_estimators=5)


def checks_of(given, model=MODEL):
    return {check.name: check for check in model_checks(given, model)}


def changed(given, change, monkeypatch):
    """The subject with odd answers; its file is that of the model that it was."""
    from lakehouse.checks import model_checks as module

    kept, real = given.pipeline, module.dump
    monkeypatch.setattr(module, "dump", lambda _: real(kept))
    return replace(given, pipeline=Odd(kept, change))


@pytest.mark.parametrize(
    "given",
    [
        ("random_forest", None),
        ("hist_gradient_boosting", None),
        ("logistic_regression", None),
        ("decision_tree", Regression(1.0)),
        ("ridge_regression", Regression(1.0)),
    ],
    ids=str,
)
def test_every_family_that_the_product_trains_passes_all_but_the_owner(given):
    family, problem = given
    small = {"n_estimators": 5} if family == "random_forest" else {}
    found = checks_of(subject(problem, family, **small))
    assert [name for name, check in found.items() if not check.passed] == ["owner"]


def test_a_description_and_an_owner_are_asked_for(forest):
    found = checks_of(forest, MODEL.model_copy(update={"description": "glass", "owner": "shift 2"}))
    assert (found["description"].passed, found["description"].figure) == (False, 5.0)
    assert found["owner"].passed


@pytest.mark.parametrize(
    ("description", "passes"), [("x" * 20, False), ("x" * 21, True), ("x" * 20 + "  ", False)]
)
def test_a_description_has_more_than_twenty_characters_blanks_apart(forest, description, passes):
    found = checks_of(forest, MODEL.model_copy(update={"description": description, "owner": " "}))
    assert found["description"].passed == passes
    assert not found["owner"].passed


def test_a_model_that_draws_lots_is_not_deterministic(forest, monkeypatch):
    random = np.random.default_rng(0)

    def lots(rows, outputs):
        return outputs if random.random() < 0.5 else outputs[:, ::-1]

    found = checks_of(changed(forest, lots, monkeypatch))
    assert not found["determinism"].passed


def test_a_model_whose_answer_depends_on_the_other_rows_is_not_deterministic(forest, monkeypatch):
    def ranked(rows, outputs):
        share = min(len(rows), 7) / 100
        return outputs * (1 - share) + share / 2

    found = checks_of(changed(forest, ranked, monkeypatch))
    assert not found["determinism"].passed


def test_a_model_that_answers_otherwise_once_its_file_is_read_fails_the_round_trip(
    forest, monkeypatch
):
    found = checks_of(changed(forest, lambda rows, outputs: outputs[:, ::-1], monkeypatch))
    assert (found["round_trip"].passed, found["determinism"].passed) == (False, True)


def test_a_file_that_is_refused_fails_the_round_trip(forest, monkeypatch):
    monkeypatch.setattr("lakehouse.checks.model_checks.dump", lambda _: b"no model")
    found = checks_of(forest)["round_trip"]
    assert not found.passed
    assert "it is no skops file" in found.reason


def test_rows_in_another_order_are_answered_alike(forest, monkeypatch):
    def first_is_favoured(rows, outputs):
        is_turned = len(rows) > 100 and rows.index[0] > rows.index[-1]
        return outputs[:, ::-1] if is_turned else outputs

    assert not checks_of(changed(forest, first_is_favoured, monkeypatch))["determinism"].passed


def test_the_same_rows_are_answered_with_the_same_bits_again(forest, monkeypatch):
    answered = []

    def drifting(rows, outputs):
        answered.append(len(rows))
        return outputs + 1e-12 * answered.count(120) if len(rows) == 120 else outputs

    assert not checks_of(changed(forest, drifting, monkeypatch))["determinism"].passed


LISTED = MODEL.model_copy(
    update={
        "readings": MODEL.readings.model_copy(
            update={
                "columns": {
                    **MODEL.readings.columns,
                    "furnace": MODEL.readings.columns["temp"].model_copy(
                        update={"type": "string", "values": ("north", "a closed one")}
                    ),
                }
            }
        )
    }
)


@pytest.mark.parametrize(
    ("is_odd", "named"),
    [
        (lambda rows: rows["temp"].isna() & rows["pressure"].notna(), "temp without a value"),
        (lambda rows: rows["temp"] <= MODEL.readings.columns["temp"].min, "temp at"),
        (lambda rows: rows["temp"] == MODEL.readings.columns["temp"].max, "temp at"),
        (lambda rows: rows["furnace"].isna() & rows["temp"].notna(), "furnace without"),
        (lambda rows: rows["furnace"].eq("a closed one"), "furnace a closed one"),
        (lambda rows: rows[["temp", "pressure"]].isna().all(axis=1), "no column with a value"),
        (lambda rows: rows["temp"] >= MODEL.readings.columns["temp"].max, "temp at"),
        (lambda rows: rows["furnace"].eq("a text that no training had"), "furnace with an unknown"),
    ],
)
def test_an_answer_that_makes_no_sense_at_a_columns_end_is_named(
    forest, monkeypatch, is_odd, named
):
    def nonsense(rows, outputs):
        return np.where(is_odd(rows).to_numpy()[:, np.newaxis], np.nan, outputs)

    given = changed(forest, nonsense, monkeypatch)
    given = replace(given, rows=given.rows.dropna().reset_index(drop=True))
    found = checks_of(given, LISTED)["robustness"]
    assert (found.passed, found.figure) == (False, 1.0)
    assert named in found.reason


def test_a_model_that_raises_at_a_columns_end_is_not_robust(forest, monkeypatch):
    def raises(rows, outputs):
        if rows["furnace"].eq("a text that no training had").any():
            raise ValueError("unknown category")
        return outputs

    found = checks_of(changed(forest, raises, monkeypatch))["robustness"]
    assert not found.passed
    assert "furnace with an unknown" in found.reason


def test_probabilities_beyond_zero_and_one_make_no_sense(forest, monkeypatch):
    def beyond(rows, outputs):
        return np.tile([1.5, -0.5], (len(outputs), 1))

    assert not checks_of(changed(forest, beyond, monkeypatch))["robustness"].passed


def test_a_number_that_is_not_finite_makes_no_sense(monkeypatch):
    def endless(rows, outputs):
        return np.where(rows["temp"].isna(), np.inf, outputs)

    number = subject(Regression(1.0), "decision_tree")
    found = checks_of(changed(number, endless, monkeypatch))["robustness"]
    assert (found.passed, found.figure) == (False, 2.0)  # without it, and without any


def limited(**checks):
    return ModelSettings.model_validate(GLASSWARE | {"policy": {"checks": checks}})


def test_a_file_as_large_as_it_may_be_passes(forest):
    size = int(checks_of(forest)["size"].figure)
    assert checks_of(forest, limited(largest_bytes=size))["size"].passed
    assert not checks_of(forest, limited(largest_bytes=size - 1))["size"].passed


def test_a_time_that_was_not_measured_does_not_pass_a_limit(forest):
    unmeasured = replace(forest, milliseconds=None)
    found = checks_of(unmeasured, limited(milliseconds_per_thousand=4))["latency"]
    assert (found.passed, found.reason) == (False, "the time to score was not measured")


def test_probabilities_that_do_not_sum_to_one_make_no_sense(forest, monkeypatch):
    found = checks_of(changed(forest, lambda rows, outputs: outputs * 0.9, monkeypatch))
    assert not found["robustness"].passed


def test_size_and_latency_have_limits_and_a_time_within_them_leaves_no_figure(forest):
    limits = {"policy": {"checks": {"largest_bytes": 10, "milliseconds_per_thousand": 4}}}
    found = checks_of(forest, ModelSettings.model_validate(GLASSWARE | limits))
    assert not found["size"].passed
    assert (found["latency"].passed, found["latency"].figure) == (False, 5.0)
    limits["policy"]["checks"]["milliseconds_per_thousand"] = 6
    within = checks_of(forest, ModelSettings.model_validate(GLASSWARE | limits))["latency"]
    assert (within.passed, within.figure) == (True, None)
    assert checks_of(forest)["latency"].reason == "no limit is set"


def test_a_check_has_the_fields_that_the_ledger_keeps():
    kept = catalog_of(MODEL).promotion
    fields = arrow_schema(kept).field("checks").type.value_type
    own = [field.name for field in dataclass_fields(Check)]
    assert [fields.field(place).name for place in range(fields.num_fields)] == own


def test_only_a_demanded_test_that_fails_refuses():
    checks = (Check("owner", False, "`owner` is empty"), Check("size", True, "small"))
    assert refusal_of(demanding(checks, ["size"])) is None
    assert refusal_of(demanding(checks, ["owner"])) == (
        "it fails what `policy.checks` demands: owner: `owner` is empty"
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"policy": {"checks": {"demanded": ["cost"]}}}, "`cost` needs `costs`"),
        ({"policy": {"checks": {"demanded": ["beauty"]}}}, "description"),
        ({"policy": {"checks": {"demanded": ["latency"]}}}, "needs `milliseconds_per_thousand`"),
        ({"costs": {"cells": [{"label": 2, "predicted": 1, "cost": 4}]}}, "2 is none of"),
        (
            {"costs": {"cells": [{"label": 0, "predicted": 1, "cost": 4}] * 2}},
            "stands there twice",
        ),
    ],
)
def test_settings_of_checks_that_make_no_sense_are_told_of(given, words):
    with pytest.raises(ValidationError, match=words):
        ModelSettings.model_validate(GLASSWARE | given)
