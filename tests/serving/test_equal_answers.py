"""Answers are the stream's, to the bit: of each family and problem, by row and by frame."""

import hashlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml

from lakehouse.models import Meaning, TrainingSet, Trial, dump, features_of, load, problem_of
from lakehouse.models.flat import flattened
from lakehouse.models.trials import build
from lakehouse.profiling.columns import text_of
from lakehouse.scoring.transforms import ScoringModel, predicted_here, with_prediction
from lakehouse.serving.answers import ServedVersion
from lakehouse.serving.replies import as_predictions
from lakehouse.settings import ModelSettings
from tests.support.served import GLASSWARE, sensors, settings_of

FAMILIES = {
    "decision_tree": {"max_depth": 6},
    "random_forest": {"n_estimators": 8, "min_samples_leaf": 2},
    "hist_gradient_boosting": {"max_iter": 4, "max_leaf_nodes": 8},
    "logistic_regression": {"C": 1.0},
}
NUMBERS = {name: value for name, value in FAMILIES.items() if name != "logistic_regression"}
NUMBERS["ridge_regression"] = {"alpha": 1.0}


class Content:
    """What Spark would broadcast."""

    def __init__(self, value):
        self.value = value


def rows_of(kind, count, seed):
    rows = sensors(count, seed)
    if kind == "text":
        chance = np.random.default_rng(seed)
        rows["line"] = chance.choice(np.array(["a", "b", None], dtype=object), count)
        rows.loc[chance.random(count) < 0.1, "temp"] = np.nan
    return rows


def trained(kind, family):
    model, rows = settings_of(kind), rows_of(kind, 400, 1)
    problem = problem_of(model)
    heat = rows["temp"].fillna(355).to_numpy() + rows["pressure"].to_numpy()
    if model.is_regression:
        targets = heat
    else:
        targets = np.digitize(heat, [366, 370])[:] % len(problem.classes)
    frame = features_of(model).frame(rows)
    data = TrainingSet(features_of(model), problem, frame, targets, np.ones(400, dtype=bool), 0)
    parameters = (NUMBERS if model.is_regression else FAMILIES)[family]
    return model, build(Trial("all", family, parameters), data).fit(frame, targets)


def scoring_model(model, pipeline, content=None):
    problem, features = problem_of(model), features_of(model)
    return ScoringModel(
        "3", f"{id(pipeline)}", content or Content(dump(pipeline)), features, problem
    )


def served(model, pipeline):
    content = dump(pipeline)
    sha256 = hashlib.sha256(content).hexdigest()
    loaded = load(content, sha256)
    meaning = Meaning.of(model)
    return ServedVersion(
        "3", sha256, meaning, loaded, flattened(loaded, meaning.features, meaning.problem), model
    )


def asked(rows):
    """The rows as the line rules give them."""
    return rows.astype(object).where(rows.notna(), None).to_dict("records")


CASES = [
    *(("two classes", family) for family in FAMILIES),
    *(("three classes", family) for family in FAMILIES),
    *(("numbers", family) for family in NUMBERS),
    ("double classes", "random_forest"),
    ("text", "random_forest"),
    ("text", "hist_gradient_boosting"),
]


LINEAR = ("logistic_regression", "ridge_regression")
ROWS, ALONE = 60, 20


def numbers_of(answers):
    """All numbers of the answers, row by row."""
    return np.array(
        [
            [answer.prediction]
            if answer.score is None
            else [answer.score, *answer.probability.values()]
            for answer in answers
        ]
    )


@pytest.mark.parametrize(("kind", "family"), CASES)
def test_answers_equal_the_udfs_function_to_the_bit_by_row_and_by_frame(kind, family):
    model, pipeline = trained(kind, family)
    rows, version = rows_of(kind, ROWS, 2), served(model, pipeline)
    rows.iloc[:ALONE, 0] = rows.iloc[:ALONE, 0].round(1)
    scoring = replace(scoring_model(model, pipeline), sha256=version.sha256)
    kinds = {"integer": pa.int32(), "double": pa.float64(), "string": pa.string()}
    label = model.labels.columns[model.labels.label].type
    expected = predicted_here(rows, scoring, kinds[label]).to_pylist()
    together = version.answers(asked(rows))
    alone = [version.answers([row])[0] for row in asked(rows)[:ALONE]]
    assert [answer.prediction for answer in together] == expected
    assert {type(answer.prediction) for answer in together} == set(map(type, expected))
    if family in LINEAR:
        # BLAS sums in an order that depends on how many rows go together, in the stream, too.
        np.testing.assert_array_max_ulp(numbers_of(alone), numbers_of(together[:ALONE]), 32)
    else:
        assert alone == together[:ALONE]
    if not model.is_regression:
        outputs = scoring.problem.outputs(version.pipeline, scoring.features.frame(rows))
        scores = scoring.problem.columns(outputs)["score"]
        assert [answer.score for answer in together] == scores.tolist()
        names = list(map(text_of, scoring.problem.classes))
        assert [answer.probability for answer in together] == [
            dict(zip(names, output, strict=True)) for output in outputs.tolist()
        ]


def test_what_the_stream_writes_is_what_the_endpoint_answers(spark):
    for kind in ("two classes", "three classes", "numbers"):
        model, pipeline = trained(kind, "random_forest")
        version, rows = served(model, pipeline), rows_of(kind, 60, 3)
        content = spark.sparkContext.broadcast(dump(pipeline))
        scoring = replace(scoring_model(model, pipeline, content), sha256=version.sha256)
        frame = spark.createDataFrame(rows.reset_index(names="place"))
        kind_of = {"double": "double", "integer": "int", "string": "string"}
        label = model.labels.columns[model.labels.label].type
        written = with_prediction(frame, scoring, kind_of[label]).orderBy("place").collect()
        answers = version.answers(asked(rows))
        assert [row.prediction for row in written] == [answer.prediction for answer in answers]
        if not model.is_regression:
            assert [row.score for row in written] == [answer.score for answer in answers]
            assert [row.probability for row in written] == [
                answer.probability for answer in answers
            ]


@pytest.mark.filterwarnings("ignore:overflow")
def test_an_output_that_is_not_finite_is_no_answer():
    model, pipeline = trained("numbers", "ridge_regression")
    pipeline[-1].coef_ = pipeline[-1].coef_ * 1e306
    version = served(model, pipeline)
    (answer,) = version.answers(asked(pd.DataFrame(rows_of("numbers", 1, 4)) * 1e30))
    assert answer.prediction is None
    assert as_predictions([answer], is_classification=False)["predictions"] == [None]


def test_a_feature_that_was_renamed_is_read_by_its_place_in_a_line():
    model, pipeline = trained("two classes", "random_forest")
    settings = yaml.safe_load(yaml.safe_dump(GLASSWARE))
    columns = settings["readings"]["columns"]
    columns["heat"] = {**columns.pop("temp"), "field": "temp"}
    settings["predictions"]["features"][0] = "heat"
    version = served(model, pipeline)
    renamed = replace(version, model=ModelSettings.model_validate(settings))
    rows = asked(rows_of("two classes", 30, 5))
    moved = [{**row, "heat": row["temp"], "temp": None} for row in rows]
    assert renamed.answers(moved) == version.answers(rows)
