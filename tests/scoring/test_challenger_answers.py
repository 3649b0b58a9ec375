"""What a challenger's answer is, whatever it does; without Spark."""

import hashlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from lakehouse.models import Classification, Features, Regression
from lakehouse.scoring.transforms import ScoringModel
from lakehouse.scoring.two_arms import _predictor, _schema

ROWS = pd.DataFrame({"x": [-2.0, -1.0, 1.0, 2.0], "z": [0.0, 1.0, 0.0, 1.0]})
TWO = Classification(("broken", "ok"), "ok")


def unchanged(_: Any) -> None:
    """The model as it was fitted."""


def model(change: Callable[[Any], None] = unchanged, is_number: bool = False) -> ScoringModel:
    """A line through the rows, after a change of it."""
    line = Ridge() if is_number else LogisticRegression()
    pipeline = Pipeline([("scale", StandardScaler()), ("line", line)])
    pipeline.fit(ROWS, [0, 0, 1, 1])
    change(pipeline[-1])
    content = skops.io.dumps(pipeline)
    digest = hashlib.sha256(content).hexdigest()
    problem = Regression(0.1) if is_number else TWO
    return ScoringModel("2", digest, SimpleNamespace(value=content), Features(("x", "z")), problem)


def raises(line: Any) -> None:
    line.coef_ = line.coef_[..., :1]


def answers(challenger: ScoringModel | None) -> pd.DataFrame:
    """What a worker gives for the rows, a column for each field."""
    predict = _predictor(model(), challenger, ["x", "z"])
    found = predict(*(pa.array(ROWS[name]) for name in ROWS))
    return pd.DataFrame({field.name: found.field(field.name).to_pandas() for field in found.type})


def test_a_challenger_that_answers_has_no_error_and_a_time() -> None:
    found = answers(model())
    assert found["c_error"].tolist() == [None] * 4
    assert found["c_prediction"].tolist() == ["broken", "broken", "ok", "ok"]
    assert (found["c_seconds"] > 0).all()


@pytest.mark.parametrize("is_number", [False, True])
def test_a_challenger_that_raises_answers_nothing_and_names_its_error(is_number: bool) -> None:
    found = answers(model(raises, is_number))
    assert found["c_error"].tolist() == ["ValueError"] * 4
    assert found["c_prediction"].isna().all()


@pytest.mark.parametrize("is_number", [False, True])
def test_an_answer_that_is_not_finite_is_an_error(is_number: bool) -> None:
    def nan(line: Any) -> None:
        line.coef_ = np.full_like(line.coef_, np.nan)

    found = answers(model(nan, is_number))
    assert found["c_error"].tolist() == ["not finite"] * 4
    if not is_number:
        nothing = [("broken", None), ("ok", None)]
        assert found["c_probability"].tolist() == [nothing] * 4


def test_a_challenger_that_is_gone_or_is_another_file_answers_nothing() -> None:
    assert answers(None)["c_error"].tolist() == ["not loaded"] * 4
    whole = model()
    other = ScoringModel("2", "0" * 64, whole.content, whole.features, whole.problem)
    assert answers(other)["c_error"].notna().all()


@pytest.mark.parametrize("challenger", [model(), model(raises), None])
def test_the_champions_answer_is_the_same_whatever_the_challenger_does(
    challenger: ScoringModel | None,
) -> None:
    found, alone = answers(challenger), answers(None)
    own = ["prediction", "score", "probability"]
    pd.testing.assert_frame_equal(found[own], alone[own])
    names = [field.split()[0] for field in _schema(model(), challenger).split(", ")]
    assert names == list(found.columns)
