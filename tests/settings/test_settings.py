"""A wrong setting gives one sentence that names its key and says what to write; the shipped files
are right.
"""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lakehouse.errors import ConfigurationError
from lakehouse.settings import load_environment_settings, load_model_settings
from tests.support.rows import REPAIR

GLASSWARE = Path("conf/glassware.yaml")
ABSENT = "<absent>"


def changed(path: str, value: Any, text: str = GLASSWARE.read_text()) -> dict[str, Any]:
    """The glassware settings (or others) with another value at a dotted path; ABSENT deletes the
    key.
    """
    content = yaml.safe_load(text)
    *above, last = path.split(".")
    block = content
    for part in above:
        block = block.setdefault(part, {})
    if value is ABSENT:
        del block[last]
    else:
        block[last] = value
    return content


@pytest.fixture
def written(tmp_path: Path) -> Callable[[Any], Path]:
    def write(content: Any) -> Path:
        path = tmp_path / "model.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return path

    return write


def test_the_shipped_files_are_valid() -> None:
    model = load_model_settings(GLASSWARE)
    assert (model.key, model.classes, model.positive) == ("pid", (0, 1), 1)
    assert model.stream.began == dt.datetime(2019, 7, 1, tzinfo=dt.UTC)
    assert load_environment_settings("conf/local.yaml").landing is None


REFUSED = [
    # a key that nobody reads, on top and deep down: the known ones are offered
    ("colour", "blue", "colour: is not a setting; write one of name, description, owner, key"),
    (
        "policy.gate.confidences",
        12,
        "policy.gate.confidences: is not a setting; write one of first_gain, confidence,",
    ),
    (
        "readings.columns.temp.mim",
        0,
        "readings.columns.temp.mim: is not a setting; write one of type, field, nullable, min",
    ),
    (
        "labels.coming",
        "x",
        "labels.coming: is not a setting; write one of table, columns, time, label, horizon",
    ),
    # a key that is not there
    ("training.first_after", ABSENT, "training.first_after: is missing; write a value for it"),
    (
        "training.folds",
        5,
        "training.folds: is gone: rows are cross-fitted in five folds; leave it out",
    ),
    ("policy.growth", 1.25, "policy.growth: is gone: write `price`"),
    ("policy.combine", "all", "policy.combine: is gone: any of the rules asks for a training"),
    ("policy.guards", {"cool_down": "1 day"}, "policy.guards: is gone: write `cool_down`"),
    *(
        (f"policy.candidates.{key}", value, f"policy.candidates.{key}: is gone: {words}")
        for key, value, words in (
            ("newest", 1_000, "write it as the first of `candidates.windows`"),
            ("new_weight", 3, "new rows weigh three old ones; leave it out"),
            ("least_rows", 40, "new rows alone are tried from 40 on; leave it out"),
            ("archived", 4, "the five newest archived versions are tried; leave it out"),
            ("moving", "6 days", "`candidates.windows` follow a change that goes on"),
        )
    ),
    (
        "policy.gate.first_right",
        0.1,
        "policy.gate.first_right: is gone: a first model must be right on a tenth of the rows",
    ),
    (
        "policy.gate.suspicion_confidence",
        0.95,
        "policy.gate.suspicion_confidence: is gone with `suspicion`; leave it out",
    ),
    (
        "policy.gate.moving_confidence",
        0.1,
        "policy.gate.moving_confidence: is gone with `candidates.moving`; leave it out",
    ),
    ("margins", {"alarm": 12.0}, "margins: is gone: write `gate: {first_gain: ...}` under policy"),
    ("readings", ABSENT, "readings: is missing"),
    ("labels.horizon", ABSENT, "labels.horizon: is missing"),
    # spans and windows
    ("labels.horizon", "two days", "labels.horizon: write a number and a unit, such as `1 hour`"),
    ("counterfactual.window", "0 days", "counterfactual.window: write a number and a unit"),
    (
        "counterfactual.window",
        "99999999999999 weeks",
        "counterfactual.window: write a number and a unit",
    ),
    (
        "metrics.granularities",
        ["11 minutes"],
        "metrics.granularities.0: write minutes, hours or days that divide a week",
    ),
    (
        "metrics.granularities",
        ["1 day", "5 hours"],
        "metrics.granularities.1: write minutes, hours or days",
    ),
    (
        "metrics.granularities",
        ["1 day", "1 day"],
        "metrics.granularities: 1 day stands there more than once",
    ),
    (
        "metrics.slices",
        ["temp > 1", "temp > 1"],
        "metrics.slices: temp > 1 stands there more than once; write each once",
    ),
    ("metrics.columns", ["temp"], "metrics.columns: leave out temp; features are monitored anyway"),
    (
        "metrics.columns",
        ["colour"],
        "readings.columns: declare colour there, or name another column",
    ),
    ("metrics.granularities", [], "metrics.granularities: Tuple should have at least 1 item"),
    ("stream.began", "soon", "stream.began: Input should be a valid datetime"),
    # names become paths and SQL
    (
        "readings.table",
        "Sensor-Reading",
        "readings.table: write lower-case letters, digits and underscores",
    ),
    ("labels.table", "../../etc", "labels.table: write lower-case letters"),
    ("name", "x" * 64, "name: write lower-case letters"),
    (
        "readings.table",
        "quality_check",
        "readings.table, labels.table and predictions.table: write three different",
    ),
    # columns that are named must be declared, and be of the right kind
    (
        "predictions.features",
        ["temp", "colour"],
        "readings.columns: declare colour there, or name another column",
    ),
    ("predictions.features", [], "predictions.features: Tuple should have at least 1 item"),
    ("predictions.features", ["process_time"], "predictions.features: leave out process_time"),
    ("key", "piece", "readings.columns: declare piece there"),
    ("event_time", "made_at", "readings.columns: declare made_at there"),
    ("labels.label", "grade", "labels.columns: declare grade there"),
    ("labels.time", "told_at", "labels.columns: declare told_at there"),
    ("event_time", "temp", "readings.columns.temp.type: write `timestamp`, since it says when"),
    (
        "readings.columns.temp.type",
        "float",
        "readings.columns.temp.type: Input should be 'long', 'integer', 'double'",
    ),
    ("readings.columns.pid.type", "string", "min and max are for numbers"),
    (
        "readings.columns.pid.type",
        "integer",
        "labels.columns.pid.type: write the same type as in readings.columns",
    ),
    (
        "readings.columns.pid.type",
        "double",
        "readings.columns.pid.type: write `long`, `integer` or `string` for a key",
    ),
    ("readings.columns.pid.nullable", True, "readings.columns.pid.nullable: write `false`"),
    ("labels.columns.quality.nullable", True, "labels.columns.quality.nullable: write `false`"),
    ("readings.columns.temp.min", 2000, "readings.columns.temp: min is above max; exchange them"),
    (
        "readings.columns.process_time.max",
        1,
        "readings.columns.process_time: min and max are for numbers",
    ),
    # classes
    (
        "labels.columns.quality.values",
        [1],
        "labels.columns.quality.values: list the classes, two or more",
    ),
    (
        "labels.columns.quality.values",
        ABSENT,
        "labels.columns.quality.values: list the classes, two or more",
    ),
    (
        "labels.columns.quality.values",
        ["bad", "good"],
        "labels.columns.quality: values are of another type",
    ),
    (
        "labels.columns.quality.values",
        [False, True],
        "labels.columns.quality: values are of another type",
    ),
    ("predictions.positive", 2, "predictions.positive: write one of [0, 1]"),
    (
        "predictions.tolerance",
        0.5,
        "predictions.tolerance: leave it out; a class is right or wrong",
    ),
    (
        "predictions.problem_type",
        "ranking",
        "predictions.problem_type: Input should be 'classification' or",
    ),
    (
        "training.families",
        {"ridge_regression": {}},
        "training.families.ridge_regression: is not for a classification",
    ),
    (
        "labels.columns.quality.values",
        [0, 1, 1],
        "labels.columns.quality.values: 1 stands there more than once",
    ),
    (
        "readings.columns.temp.values",
        [1, 1.0],
        "readings.columns.temp.values: 1.0 stands there more than once",
    ),
    (
        "readings.columns.temp.values",
        [],
        "readings.columns.temp.values: Tuple should have at least 1 item",
    ),
    (
        "readings.columns.temp.values",
        [float("nan")],
        "readings.columns.temp.values.0: write a finite number",
    ),
    (
        "readings.columns.temp.values",
        [[1]],
        "readings.columns.temp.values.0: write a number, a truth value or a text",
    ),
    (
        "predictions.features",
        ["temp", "temp"],
        "predictions.features: temp stands there more than once",
    ),
    # bounds that bind nothing, or everything
    (
        "readings.columns.temp.min",
        float("nan"),
        "readings.columns.temp.min: Input should be a finite number",
    ),
    (
        "readings.columns.temp.max",
        float("inf"),
        "readings.columns.temp.max: Input should be a finite number",
    ),
    ("readings.columns.temp.max", -(10**400), "readings.columns.temp.max: Input should be"),
    (
        "policy.gate.first_gain",
        float("nan"),
        "policy.gate.first_gain: Input should be a finite number",
    ),
    ("policy", {"rules": []}, "policy.rules: Tuple should have at least 1 item"),
    # what YAML makes of yes, no, on and off
    (
        "labels.columns.quality.values",
        [True, False],
        "labels.columns.quality: values are of another type",
    ),
    (
        "labels.columns.quality",
        {"type": "string", "values": [True, False]},
        "write string values (words in quotes)",
    ),
    ("training.seed", True, "training.seed: a number is meant here; YAML reads yes, no, on"),
    ("readings.columns.temp.min", False, "readings.columns.temp.min: a number is meant here"),
    (
        "readings.table",
        True,
        "readings.table: Input should be a valid string (it says True); YAML reads yes",
    ),
    (
        "predictions.features",
        ["temp", True],
        "predictions.features.1: Input should be a valid string (it says True);",
    ),
    ("readings.columns.temp", True, "readings.columns.temp: Input should be a valid dictionary"),
    (
        "policy",
        {"price": True},
        "policy.price: a number is meant here; YAML reads yes, no, on",
    ),
    # where a value stands in a line, and in which zone
    ("readings.columns.temp.field", "", "readings.columns.temp.field: write the name of a field"),
    (
        "readings.columns.temp.field",
        "a..b",
        "readings.columns.temp.field: write the name of a field",
    ),
    ("readings.columns.temp.field", [], "readings.columns.temp.field: write the name of a field"),
    ("readings.columns.temp.field", 7, "readings.columns.temp.field: write the name of a field"),
    ("stream.time_zone", "Berlin", "stream.time_zone: write a time zone of the IANA database"),
    (
        "stream.time_zone",
        "../etc/passwd",
        "stream.time_zone: write a time zone of the IANA database",
    ),
    # numbers out of their range say what range
    ("policy.gate.confidence", 1.0, "policy.gate.confidence: Input should be less than 1"),
    ("metrics.bins", 1, "metrics.bins: Input should be greater than or equal to 2"),
    (
        "training.families",
        {"neural_network": {"a": [1]}},
        "training.families.neural_network.[key]: Input should be",
    ),
    ("training.families", {}, "training.families: Dictionary should have at least 1 item"),
]


@pytest.mark.parametrize(
    ("path", "value", "says"), REFUSED, ids=[f"{path}={value!r:.30}" for path, value, _ in REFUSED]
)
def test_a_wrong_setting_gives_one_sentence(
    path: str, value: Any, says: str, written: Callable[[Any], Path]
) -> None:
    file = written(changed(path, value))
    with pytest.raises(ConfigurationError) as error:
        load_model_settings(file)
    (sentence,) = str(error.value).splitlines()
    assert sentence.startswith(f"{file}: ")
    assert says in sentence


REFUSED_OF_A_REGRESSION = [
    (
        "predictions.tolerance",
        ABSENT,
        "predictions.tolerance: write how far a prediction may be from the label",
    ),
    ("predictions.tolerance", 0, "predictions.tolerance: Input should be greater than 0"),
    ("predictions.tolerance", -1, "predictions.tolerance: Input should be greater than 0"),
    (
        "predictions.tolerance",
        float("inf"),
        "predictions.tolerance: Input should be a finite number",
    ),
    ("predictions.tolerance", float("nan"), "predictions.tolerance: Input should be"),
    ("predictions.positive", 1, "predictions.positive: leave it out; a regression has no classes"),
    (
        "predictions.problem_type",
        ABSENT,
        "labels.columns.cost.values: list the classes, two or more; to predict a",
    ),
    (
        "labels.columns.cost",
        {"type": "string"},
        "labels.columns.cost.type: write `double`, `long` or `integer`",
    ),
    (
        "labels.columns.cost",
        {"type": "timestamp"},
        "labels.columns.cost.type: write `double`, `long` or `integer`",
    ),
    (
        "labels.columns.cost.values",
        [1.0, 2.0],
        "labels.columns.cost.values: leave it out; a regression predicts a",
    ),
    ("labels.columns.cost.nullable", True, "labels.columns.cost.nullable: write `false`"),
    (
        "training.families",
        {"logistic_regression": {}, "decision_tree": {}},
        "training.families.logistic_regression: is not for a regression; write one of "
        "decision_tree, random_forest, hist_gradient_boosting, ridge_regression",
    ),
]


@pytest.mark.parametrize(
    ("path", "value", "says"),
    REFUSED_OF_A_REGRESSION,
    ids=[f"{path}={value!r:.30}" for path, value, _ in REFUSED_OF_A_REGRESSION],
)
def test_a_wrong_setting_of_a_regression_gives_one_sentence(
    path: str, value: Any, says: str, written: Callable[[Any], Path]
) -> None:
    file = written(changed(path, value, REPAIR))
    with pytest.raises(ConfigurationError) as error:
        load_model_settings(file)
    (sentence,) = str(error.value).splitlines()
    assert sentence.startswith(f"{file}: ")
    assert says in sentence


@pytest.mark.parametrize("kind", ["double", "long", "integer"])
def test_a_regression_predicts_a_number_of_any_type_and_has_no_classes(
    kind: str, written: Callable[[Any], Path]
) -> None:
    model = load_model_settings(written(changed("labels.columns.cost.type", kind, REPAIR)))
    assert (model.is_regression, model.classes, model.predictions.tolerance) == (True, (), 50.0)
    glassware = load_model_settings(GLASSWARE)
    assert (glassware.is_regression, glassware.predictions.tolerance) == (False, None)


def test_every_wrong_key_has_its_line(written: Callable[[Any], Path]) -> None:
    content = changed("training.first_after", ABSENT) | {"colour": "blue"}
    with pytest.raises(ConfigurationError) as error:
        load_model_settings(written(content))
    lines = str(error.value).splitlines()
    assert ["training.first_after" in line or "colour" in line for line in lines] == [True, True]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "should be a valid dictionary"),  # an empty file
        ("- a\n- b\n", "should be a valid dictionary"),
        ("name: [", "is not YAML"),
        ("name: 2024-02-30", "is not YAML: day is out of range for month"),
        (
            "name: a\nstream: {began: x, began: y}\n",
            "began: is given twice, on lines 2 and 2; write it once",
        ),
        ("policy: {}\nname: a\n\npolicy: {}\n", "policy: is given twice, on lines 1 and 4"),
        ("- 1: a\n  1: b\n", "1: is given twice"),
        ("? [a]\n: 1\n", "is not YAML: while constructing a mapping"),
        ("[" * 5000, "is not YAML"),
    ],
)
def test_a_file_that_is_no_settings_is_named(
    content: str, says: str, written: Callable[[Any], Path]
) -> None:
    file = written(content)
    with pytest.raises(ConfigurationError, match=says) as error:
        load_model_settings(file)
    assert str(error.value).startswith(f"{file}: ")


def test_a_file_that_is_not_text_or_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"name: gl\xe4s")
    with pytest.raises(ConfigurationError, match=r"latin\.yaml: is not YAML"):
        load_model_settings(tmp_path / "latin.yaml")
    with pytest.raises(
        ConfigurationError, match=r"nowhere\.yaml: cannot be read \(No such file or directory\)"
    ):
        load_model_settings(tmp_path / "nowhere.yaml")


def test_a_key_of_an_anchor_may_be_given_again(written: Callable[[Any], Path]) -> None:
    """That is what merging is for."""
    text = GLASSWARE.read_text().replace("temp: {type: double,", "temp: &sensor {type: double,")
    text = text.replace("duration: {type: double,", "duration: {<<: *sensor, type: double,")
    assert load_model_settings(written(text)).readings.columns["duration"].max == 120


def test_a_byte_order_mark_is_no_fault(written: Callable[[Any], Path]) -> None:
    assert load_model_settings(written("\ufeff" + GLASSWARE.read_text())) == load_model_settings(
        GLASSWARE
    )


def test_the_environment_takes_no_other_key(written: Callable[[Any], Path]) -> None:
    with pytest.raises(
        ConfigurationError,
        match="rooot: is not a setting; write one of root, landing, tracking_uri",
    ):
        load_environment_settings(written("root: a\nrooot: b"))


@pytest.mark.parametrize(
    "text", ["5 minutes", "1 hour", "12 hours", "7 days", "2 weeks", "1 month"]
)
def test_granularities_are_minutes_to_months(text: str, written: Callable[[Any], Path]) -> None:
    model = load_model_settings(written(changed("metrics.granularities", [text])))
    assert [each.text for each in model.metrics.granularities] == [text]


def test_classes_are_in_ascending_order_and_the_last_is_the_positive_one(
    written: Callable[[Any], Path],
) -> None:
    content = changed("labels.columns.quality", {"type": "string", "values": ["ok", "bad", "dull"]})
    del content["predictions"]["positive"]
    model = load_model_settings(written(content))
    assert (model.classes, model.positive) == (("bad", "dull", "ok"), "ok")
