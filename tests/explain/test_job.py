"""The job on tables on disk, without Spark: two versions, readings, labels, a prediction."""

import datetime as dt
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from jobs import explain as explain_job
from lakehouse.errors import ConfigurationError, RegistryError, StoreError
from lakehouse.explain.explanation import BEFORE, CHAMPION, SCORED, explained
from lakehouse.explain.rows import PlainRows
from lakehouse.explain.versions import PlainVersions
from lakehouse.explain.words import as_lines
from lakehouse.models import Meaning, TrainingSet, Trial, dump, features_of, problem_of
from lakehouse.models.trials import build
from lakehouse.settings import ModelSettings, load_environment_settings
from lakehouse.storage.plain_tables import read_rows
from lakehouse.tables import catalog_of
from tests.support import plain_delta

START = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
GLASSWARE = yaml.safe_load(Path("conf/glassware.yaml").read_text(encoding="utf-8"))
MODEL = ModelSettings.model_validate(GLASSWARE)
ENVIRONMENT = load_environment_settings("conf/local.yaml")
TREE = {"max_depth": 1}
ROWS, AFTER = 300, 301


def readings(limit=ROWS):
    """One in an hour; the last one comes after all trainings."""
    chance = np.random.default_rng(3)
    temps = chance.uniform(340, 370, limit + 1)
    temps[-1] = 352.0
    return [
        {
            "pid": place + 1,
            "process_time": START + place * HOUR,
            "temp": float(temp),
            "pressure": 9.0 + place % 7,
            "duration": 28.0,
        }
        for place, temp in enumerate(temps)
    ]


def fitted(model, rows, threshold):
    """A stump whose positive class lies below a temperature; for numbers, the temperature."""
    frame = features_of(model).frame(pd.DataFrame(rows))
    labels = (frame["temp"] < threshold).astype(int)
    problem = problem_of(model)
    targets = frame["temp"].to_numpy() if model.is_regression else problem.targets(labels)
    judged = np.ones(len(rows), dtype=bool)
    data = TrainingSet(features_of(model), problem, frame, targets, judged, 0)
    return build(Trial("all", "decision_tree", TREE), data).fit(frame, targets)


def promotion(root, model, version, pipeline, rows, **given):
    """A row of the ledger, and the version's file where MLflow has it."""
    content = dump(pipeline)
    path = root / "mlflow/artifacts" / f"run{version}" / "artifacts/model/model.skops"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    as_of = rows[-1]["process_time"] + 24 * HOUR
    return {
        "as_of": as_of,
        "recorded_at": as_of,
        "action": "promote",
        "who": "retrain_and_promote",
        "from_version": None,
        "to_version": str(version),
        "trained_from": rows[0]["process_time"],
        "trained_to": rows[-1]["process_time"],
        "model_sha256": hashlib.sha256(content).hexdigest(),
        "run_id": f"run{version}",
        "meaning": Meaning.of(model).to_json(),
        **given,
    }


@pytest.fixture
def root(tmp_path):
    """Version 1 has its border at 350 degrees, version 2 at 355; version 1 scored the last."""
    return written(tmp_path, MODEL)


def written(root, model):
    catalog, rows = catalog_of(model), readings()
    labels = [
        {
            "pid": row["pid"],
            "qualitycheck_time": row["process_time"] + 24 * HOUR,
            "quality": int(row["temp"] < 350),
            "landed_file_id": 1,
            "line": row["pid"],
        }
        for row in rows[:-1]
    ]
    first, second = rows[:100], rows[:250]
    promotions = [
        promotion(root, model, 1, fitted(model, first, 350.0), first),
        promotion(root, model, 2, fitted(model, second, 355.0), second, from_version="1"),
    ]
    prediction = {**rows[-1], "prediction": 0, "score": 0.0, "model_version": "1"}
    parts = [
        (catalog.readings, rows),
        (catalog.labels, labels),
        (catalog.predictions, [prediction]),
        (catalog.promotion, promotions),
    ]
    for table, own in parts:
        plain_delta.create(root, table)
        plain_delta.replace_rows(root, table, own)
    return root


def explanation(root, key=AFTER, model=MODEL):
    return explained(str(root), model, ENVIRONMENT, str(key))


def test_the_version_that_scored_it_and_the_champion_stand_side_by_side(root):
    found = explanation(root)
    assert [(view.version, view.roles, view.call) for view in found.views] == [
        ("1", (SCORED, BEFORE), 0),
        ("2", (CHAMPION,), 1),
    ]
    assert [view.output for view in found.views] == [0.0, 1.0]
    assert (found.prediction["model_version"], found.label) == ("1", None)


def test_each_versions_values_sum_to_its_output(root):
    for view in explanation(root).views:
        assert view.shares.empty + view.shares.added.sum() == pytest.approx(view.output)
        assert dict(zip(view.features, view.shares.added, strict=True))["duration"] == 0


def test_the_border_is_where_the_versions_file_has_its_threshold(root):
    for view, threshold in zip(explanation(root).views, (350, 355), strict=True):
        number = PlainVersions(str(root), MODEL, ENVIRONMENT).version(view.version)
        own = number.pipeline[-1].tree_.threshold[0]
        assert own == pytest.approx(threshold, abs=1)
        assert view.borders["temp"].value == pytest.approx(own, rel=1e-6)
        assert view.borders["pressure"] is view.borders["duration"] is None


def test_the_baselines_rows_are_those_labelled_when_the_version_was_trained(root):
    versions, rows = PlainVersions(str(root), MODEL, ENVIRONMENT), PlainRows(str(root), MODEL)
    assert [row["pid"] for row in rows.baseline_rows(versions.version("1"))] == [*range(1, 101)]
    thinned = rows.background(versions.version("2"), most=3)
    told = [row["temp"] for row in readings()]
    assert thinned["temp"].tolist() == [told[0], told[124], told[249]]


def test_a_row_labelled_later_or_never_and_one_made_later_are_no_part_of_the_baseline(root):
    as_of = START + 123 * HOUR
    told = dict.fromkeys(range(1, 102), as_of) | {50: as_of + HOUR}
    del told[60]
    labels = [
        {"pid": pid, "qualitycheck_time": at, "quality": 1, "landed_file_id": 1, "line": pid}
        for pid, at in told.items()
    ]
    plain_delta.replace_rows(root, catalog_of(MODEL).labels, labels)
    version = PlainVersions(str(root), MODEL, ENVIRONMENT).version("1")
    found = [row["pid"] for row in PlainRows(str(root), MODEL).baseline_rows(version)]
    assert found == [pid for pid in range(1, 101) if pid not in (50, 60)]


def test_of_a_version_that_was_promoted_again_the_last_promotion_counts(root):
    table = catalog_of(MODEL).promotion
    rows = read_rows(str(root), table)
    again = rows[0] | {"recorded_at": START + 999 * HOUR, "from_version": "2", "trained_rows": 7}
    plain_delta.replace_rows(root, table, [again, *rows])
    versions = PlainVersions(str(root), MODEL, ENVIRONMENT)
    assert (versions.champion, versions.before) == ("1", "2")
    assert versions.version("1").promotion["trained_rows"] == 7


def test_rows_outside_the_recorded_stretches_are_no_part_of_the_baseline(root, monkeypatch):
    class Segment:
        start, end = np.datetime64("2024-03-02T00:00"), np.datetime64("2024-03-03T00:00")

    class Record:
        class version:  # noqa: N801
            class row_rule:  # noqa: N801
                segments = (Segment,)

    version = PlainVersions(str(root), MODEL, ENVIRONMENT).version("1")
    version.promotion["policy_record"] = "{}"
    monkeypatch.setattr("lakehouse.explain.rows.PolicyRecord.from_json", lambda text: Record)
    rows = PlainRows(str(root), MODEL).baseline_rows(version)
    assert [row["pid"] for row in rows] == [*range(25, 49)]


def test_the_job_prints_what_is_on_record_and_a_column_for_each_version(root, capsys):
    explain_job.main(["--root", str(root), "--key", str(AFTER)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        "glassware pid 301, 2024-03-13 12:00 UTC",
        "reading:    temp 352, pressure 15, duration 28",
        "production: version 1 said 0, score 0.0000",
        "label:      none was told yet",
    ]
    assert lines[5].split() == ["version", "1", "version", "2"]
    assert lines[7].split() == ["call", "0", "1"]
    temp = next(line for line in lines if line.startswith("call changes at temp"))
    assert temp.count("*") == 2
    assert next(line for line in lines if "at duration" in line).split()[-2:] == ["nowhere"] * 2


def test_a_row_that_was_scored_by_nobody_and_has_a_label_is_explained(root):
    found = explanation(root, key=7)
    assert [view.roles for view in found.views] == [(CHAMPION,), (BEFORE,)]
    assert "production: it was not scored" in as_lines(found)
    assert any(
        line.startswith("label:      ") and "told 2024-03-02 06:00 UTC" in line
        for line in as_lines(found)
    )


def test_of_several_labels_the_one_told_last_is_shown_whatever_lacks_a_file(root):
    table, told = catalog_of(MODEL).labels, START + 48 * HOUR
    first = {"pid": 7, "qualitycheck_time": told, "quality": 0, "landed_file_id": None, "line": 1}
    same_time = first | {"quality": 1, "landed_file_id": 3}
    earlier = same_time | {"quality": 0, "qualitycheck_time": told - HOUR, "landed_file_id": 9}
    plain_delta.replace_rows(root, table, [same_time, first, earlier])
    assert PlainRows(str(root), MODEL).label(7)["quality"] == 1


def test_a_number_is_explained_in_its_unit(tmp_path):
    change = {
        "labels": GLASSWARE["labels"]
        | {"columns": GLASSWARE["labels"]["columns"] | {"quality": {"type": "double"}}},
        "predictions": {
            "table": "predicted_quality",
            "features": ["temp", "pressure", "duration"],
            "problem_type": "regression",
            "tolerance": 2.0,
        },
        "training": GLASSWARE["training"] | {"families": {"decision_tree": {"max_depth": [1]}}},
    }
    model = ModelSettings.model_validate(GLASSWARE | change)
    view = explanation(written(tmp_path, model), model=model).views[1]
    assert view.explained == "prediction"
    assert 340 < view.output < 370
    assert view.shares.empty + view.shares.added.sum() == pytest.approx(view.output)
    assert abs(view.borders["temp"].value - 355) < 1.5


def test_of_three_classes_the_calls_probability_is_explained(tmp_path):
    columns = GLASSWARE["labels"]["columns"]
    three = columns | {"quality": {"type": "integer", "values": [1, 0, 2]}}
    predictions = {"table": "predicted_quality", "features": ["temp", "pressure", "duration"]}
    labels = GLASSWARE["labels"] | {"columns": three}
    model = ModelSettings.model_validate(GLASSWARE | {"labels": labels, "predictions": predictions})
    found = explanation(written(tmp_path, model), model=model)
    assert [view.explained for view in found.views] == ["probability of 0", "probability of 1"]
    assert [view.output for view in found.views] == [1.0, 1.0]
    assert any(line.startswith("probability of the call") for line in as_lines(found))


def test_a_file_that_is_not_on_this_machine_is_asked_of_the_server(root, monkeypatch):
    file = root / "mlflow/artifacts/run2/artifacts/model/model.skops"
    content, asked = file.read_bytes(), []
    file.unlink()

    class Server:
        def __init__(self, name, place):
            asked.append((name, place.tracking_uri))

        def artifact(self, version, path):
            asked.append((version.version, version.run_id, path))
            return content

    monkeypatch.setattr("lakehouse.storage.registry.Registry", Server)
    environment = ENVIRONMENT.model_copy(update={"tracking_uri": "https://mlflow"})
    version = PlainVersions(str(root), MODEL, environment).version("2")
    assert version.pipeline[-1].tree_.node_count == 3
    assert asked == [("glassware", "https://mlflow"), ("2", "run2", "model/model.skops")]


def test_what_cannot_be_explained_is_told_in_a_sentence(root, tmp_path):
    with pytest.raises(ConfigurationError, match="--key 999: no valid reading has this pid"):
        explanation(root, key=999)
    with pytest.raises(ConfigurationError, match="--key x: write a whole number"):
        explanation(root, key="x")
    with pytest.raises(StoreError, match="there is no table"):
        explanation(tmp_path / "elsewhere")
    plain_delta.replace_rows(root, catalog_of(MODEL).promotion, [])
    with pytest.raises(RegistryError, match="has no champion yet"):
        explanation(root)


def test_a_file_that_is_gone_or_was_changed_is_not_used(root):
    file = root / "mlflow/artifacts/run2/artifacts/model/model.skops"
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(RegistryError, match="it was changed"):
        explanation(root)
    file.unlink()
    with pytest.raises(RegistryError, match="is not there; restore it"):
        explanation(root)


def test_nothing_is_written(root):
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    explanation(root)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
