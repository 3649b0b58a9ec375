"""What a training is repeated from: it survives being kept, and its rule gives the same weights."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lakehouse.models import Classification, Features, TrainingSet
from lakehouse.retraining.policy.candidates.choice import Candidate, row_rule_of
from lakehouse.retraining.policy.document import PolicyRecord
from lakehouse.retraining.policy.records import (
    Errors,
    Region,
    RowRule,
    Rows,
    Segment,
    VersionRecord,
)
from lakehouse.retraining.policy.version import fit_expected_error
from lakehouse.retraining.recipe import Recipe, digest_of, features_of_rule, weights_of

HOURS, CHANGE = 200, 120
START = np.datetime64("2024-03-01", "us")
PROBLEM = Classification((0, 1), 1)


def rows() -> Rows:
    """A row an hour; from the change on, x above .5 is 1 for a small y alone."""
    chance = np.random.default_rng(1)
    features = chance.uniform(0, 1, (HOURS, 2))
    labels = (features[:, 0] > 0.5).astype(int)
    labels[CHANGE:] &= features[CHANGE:, 1] <= 0.5
    times = START + np.arange(HOURS) * np.timedelta64(1, "h")
    return Rows(("x", "y"), features, labels, times, times + np.timedelta64(2, "D"), PROBLEM)


def record_of(rule: RowRule, weight: float) -> PolicyRecord:
    own = rows()
    version = VersionRecord(
        version=1,
        as_of=START,
        drift_period=START,
        changed_at=None,
        row_rule=rule,
        reference=None,
        since_change=0,
        errors=Errors(np.zeros(14), np.zeros(14)),
        expected_error=fit_expected_error(own, own.labels),
    )
    return PolicyRecord(version, own.names, "any", weight)


CANDIDATES = {
    "everything": Candidate("everything"),
    "newest": Candidate("last 2 days", span=np.timedelta64(2, "D")),
    "since the change": Candidate("since", start=START + np.timedelta64(CHANGE, "h")),
    "old rows that new ones do not contradict": Candidate(
        "transfer",
        RowRule((Segment(None, START + np.timedelta64(CHANGE, "h")),)),
        1,
        START + np.timedelta64(CHANGE, "h"),
        weight=3.0,
    ),
    "old rows without a stretch of them": Candidate(
        "transfer",
        RowRule(
            (
                Segment(
                    START, START + np.timedelta64(40, "h"), (Region((("y", 0.2, np.inf),), 1),)
                ),
                Segment(START + np.timedelta64(60, "h"), START + np.timedelta64(CHANGE, "h")),
            )
        ),
        None,
        START + np.timedelta64(CHANGE, "h"),
        weight=3.0,
    ),
}


@pytest.mark.parametrize("name", CANDIDATES)
def test_the_weights_of_a_training_follow_from_its_record(name: str):
    own, candidate = rows(), CANDIDATES[name]
    predicted = (own.features[:, 0] > 0.5).astype(int)
    everything = np.ones(HOURS, dtype=bool)
    reference = predicted if candidate.reference else None
    rule, weights = row_rule_of(candidate, own, reference, everything)
    kept = PolicyRecord.from_json(record_of(rule, float(weights.max())).to_json())
    assert np.array_equal(weights_of(kept, own), weights)
    if name.startswith("old rows"):
        assert set(np.unique(weights)) == {0.0, 1.0, 3.0}
        assert features_of_rule(kept)


def test_a_recipe_is_read_as_it_was_kept():
    recipe = Recipe(
        table_versions={"silver.reading": 3},
        rows_from=dt.datetime(2024, 3, 1, 0, 0, 0, 17, tzinfo=dt.UTC),
        rows_read=100,
        rows_sha256="ab",
        family="decision_tree",
        parameters={"ccp_alpha": 0.005, "max_depth": None},
        seed=7,
        libraries={"numpy": "2"},
    )
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert recipe.trial.parameters == {"ccp_alpha": 0.005, "max_depth": None}


def _data() -> TrainingSet:
    frame = pd.DataFrame(
        {"x": [1.0, np.nan, 3.0], "lane": pd.Series(["a", None, ""], dtype=object)}
    )
    judged = np.ones(3, dtype=bool)
    return TrainingSet(Features(("x",), ("lane",)), PROBLEM, frame, np.array([0, 1, 1]), judged, 0)


def test_any_change_of_a_row_changes_the_digest():
    data, weights = _data(), np.array([1.0, 1.0, 3.0])
    digest = digest_of(data, weights)
    assert digest == digest_of(_data(), weights.copy())
    others = [
        (replace(data, rows=data.rows.assign(x=[1.0, np.nan, 3.0000001])), weights),
        (replace(data, rows=data.rows.assign(lane=["a", "", ""])), weights),
        (replace(data, rows=data.rows.iloc[::-1]), weights),
        (replace(data, targets=np.array([0, 1, 0])), weights),
        (data, np.array([1.0, 1.0, 1.0])),
    ]
    assert len({digest, *(digest_of(*other) for other in others)}) == 6
