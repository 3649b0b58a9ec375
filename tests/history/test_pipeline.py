"""Features of earlier rows from landed lines to answers: one value, wherever it is read."""

import asyncio
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from pyspark.sql import SparkSession

from jobs.check_model import main as check_main
from jobs.explain import main as explain_main
from jobs.explore import main as explore_main
from jobs.export import main as export_main
from jobs.lineage import main as lineage_main
from lakehouse.app.whole_way import run_pipeline
from lakehouse.errors import RegistryError
from lakehouse.ingest.account import account
from lakehouse.ingest.pipeline import ingest
from lakehouse.labels.label_batch import newest_label
from lakehouse.lineage.reading import records_of
from lakehouse.lineage.row_origin import graph_of_node
from lakehouse.lineage.verification import DIFFERENT
from lakehouse.models import Meaning
from lakehouse.monitoring.aggregator import aggregate_kpis
from lakehouse.recovery.comparison import compare
from lakehouse.recovery.rebuild import copy_what_is_left, rebuild
from lakehouse.retraining import rollout_by_hand
from lakehouse.retraining.policy.history import History
from lakehouse.retraining.promoted_models import PromotedModels
from lakehouse.retraining.table_ledger import TableLedger
from lakehouse.retraining.training_rows import training_rows
from lakehouse.rollouts.arms import answers
from lakehouse.scoring import written
from lakehouse.scoring.scorer import score
from lakehouse.serving.champions import Champions
from lakehouse.serving.predicting import Predicted
from lakehouse.serving.serve import ServeOptions, opened_endpoint
from lakehouse.storage.kept_rows import keep_rows
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.queries import AVAILABLE_NOW
from lakehouse.verification.served import differing_answers
from lakehouse.verification.verify import checks_of
from lakehouse.versions.ledger import PromotionLedger
from tests.support.engines import alike, duckdb_of, duckdb_rows, known_to_spark, spark_rows
from tests.support.kills import KilledError, Steps, stepping
from tests.support.remembering import (
    A_DAY,
    FEATURES,
    land_day,
    land_in,
    remembering,
    with_history,
)
from tests.support.rolled_out import by_canary
from tests.support.small_model import Settings, at, readings, settings_of
from tests.support.written import train

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def works(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lakehouse:
    """Two days, a first model, and a day that it has scored. To be read alone."""
    lakehouse = remembering(spark, tmp_path_factory.mktemp("works") / "lake")
    for days in ((0, 1), (2,)):
        for day in days:
            land_day(lakehouse, day)
        run_pipeline(lakehouse, draws_page=False)
    return lakehouse


def copied(lakehouse: Lakehouse, folder: Path) -> Path:
    root = folder / "copy"
    shutil.copytree(lakehouse.store.root, root)
    return root


def values(lakehouse: Lakehouse, table: str) -> dict[int, tuple[Any, ...]]:
    """By key, the features that a table holds."""
    rows = lakehouse.store.rows(getattr(lakehouse.catalog, table), columns=["id", *FEATURES])
    return {row["id"]: tuple(row[name] for name in FEATURES) for row in rows}


def test_a_prediction_keeps_the_features_that_it_was_made_from(works: Lakehouse) -> None:
    assert values(works, "predictions") == values(works, "readings")
    assert len(values(works, "predictions")) == 3 * A_DAY


def test_training_reads_what_was_scored(works: Lakehouse) -> None:
    ledger = PromotionLedger(works)
    as_of = newest_label(ledger, None)
    assert as_of is not None
    history: History = TableLedger(works).history
    frame = training_rows(PromotedModels(ledger), as_of, history).frame
    scored = values(works, "predictions")
    assert len(frame) == 3 * A_DAY
    for row in frame.to_dict("records"):
        own = tuple(None if row[name] != row[name] else row[name] for name in FEATURES)
        assert own == scored[row["id"]]


def test_a_model_with_history_knows_a_rule_of_it(works: Lakehouse) -> None:
    facts = works.store.rows(works.catalog.window_facts)
    counts = [row["quality"] for row in facts if row["slice_key"] is None and row["model_version"]]
    right, labelled = (sum(each[name] for each in counts) for name in ("n_right", "n_labelled"))
    assert labelled == 3 * A_DAY
    assert right / labelled > 0.95


def test_verify_finds_all_as_promised(works: Lakehouse) -> None:
    wrong = [str(each) for each in checks_of(works, account(works)) if each.state == DIFFERENT]
    assert wrong == []


def test_a_prediction_comes_from_the_files_of_its_earlier_rows_too(works: Lakehouse) -> None:
    with records_of(works.store.root, works.model) as records:
        graph = graph_of_node(records, f"prediction/{2 * A_DAY + 7}")
        files = {node.facts["source_file"] for node in graph.nodes if node.kind == "file"}
        own = records.rows("SELECT * FROM gold.lineage WHERE relation = 'features of'")
    assert {name for name in files if name.startswith("repair/")} == {
        f"repair/{day}.jsonl" for day in range(3)
    }
    # The mean of the day's first hour is of readings of the day before, in an earlier commit.
    assert f"reading/{A_DAY:05d}.jsonl" in files
    assert {row["from_id"].split("@")[0] for row in own} == {"silver.repair", "silver.reading"}
    assert {row["to_id"].split("#")[0] for row in own} == {"silver.reading"}


def test_both_engines_give_the_same_edges_of_earlier_rows(
    spark: SparkSession, works: Lakehouse
) -> None:
    sql = "SELECT * FROM gold.lineage WHERE relation = 'features of' ORDER BY from_id, to_id"
    root = works.store.root
    with known_to_spark(spark, root), duckdb_of(root) as connection:
        found = spark_rows(spark, sql)
        assert alike(found) == alike(duckdb_rows(connection, sql))
    assert len(found) == 3  # the first commit of readings has repairs alone before it


def test_definitions_belong_to_the_version(works: Lakehouse) -> None:
    meaning = PromotionLedger(works).meaning("1")
    assert meaning.history == {
        "x_mean_1h": "mean of x over 1 hour",
        "since_repair": "seconds_since in repair over 3 days",
    }
    tags = works.registry._client.get_model_version(works.model.name, "1").tags
    assert len(tags["history_sha256"]) == 64
    assert Meaning.from_json(meaning.to_json()) == meaning


def test_a_champion_of_other_definitions_is_refused(
    spark: SparkSession, works: Lakehouse, tmp_path: Path
) -> None:
    def without_mean(settings: Settings) -> None:
        with_history(settings)
        del settings["history"]["features"]["x_mean_1h"]
        settings["predictions"]["features"].remove("x_mean_1h")

    lakehouse = remembering(spark, copied(works, tmp_path), without_mean)
    land_day(lakehouse, 3)
    ingest(lakehouse, AVAILABLE_NOW)
    with pytest.raises(RegistryError) as error:
        score(lakehouse, AVAILABLE_NOW)
    assert str(error.value) == (
        "small version 1 cannot score: it reads x_mean_1h as `mean of x over 1 hour`, and "
        "history.features has `nothing`; roll back, or put the settings back"
    )
    champions = Champions(lakehouse.store.root, lakehouse.model, lakehouse.environment)
    champions.look()
    assert champions.current is None
    assert champions.refusal is not None
    assert "it reads x_mean_1h as" in champions.refusal.reason


def test_all_is_the_same_when_made_again_from_bronze(
    spark: SparkSession, works: Lakehouse, tmp_path: Path
) -> None:
    lost = tmp_path / "lost"
    shutil.copytree(
        works.store.root, lost, ignore=shutil.ignore_patterns("silver", "gold", "landing")
    )
    again = remembering(spark, Path(copy_what_is_left(str(lost), str(tmp_path / "new"))))
    rebuild(again, str(lost))
    for table in ("readings", "predictions"):
        assert values(again, table) == values(works, table)


@pytest.mark.parametrize("most_bytes", [0, 2**20], ids=["workers", "driver"])
def test_scoring_that_dies_at_any_step_gives_equal_bits(
    spark: SparkSession,
    works: Lakehouse,
    tmp_path: Path,
    most_bytes: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(written, "is_small", lambda rows: most_bytes > 0)
    root = copied(works, tmp_path)
    lakehouse = remembering(spark, root)
    land_day(lakehouse, 3)
    ingest(lakehouse, AVAILABLE_NOW)
    died_at: set[str] = set()
    while True:
        steps = Steps(lambda name: name not in died_at)
        try:
            with stepping(steps):
                score(remembering(spark, root), AVAILABLE_NOW)
            break
        except Exception as error:
            died_at.add(steps.reached[-1])
            assert isinstance(error, KilledError) or "KilledError" in str(error)
    # Small files are gathered when the row is written.
    died_at = {name.replace("before gather of", "after write of") for name in died_at}
    assert "after write of silver.scoring_ledger" in died_at
    assert values(lakehouse, "predictions") == values(lakehouse, "readings")
    assert len(values(lakehouse, "predictions")) == 4 * A_DAY


def test_jobs_that_read_features_know_no_difference(
    works: Lakehouse, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model.yaml"
    model.write_text(yaml.safe_dump(settings_of(with_history), sort_keys=False))
    words = ["--model", str(model), "--root", works.store.root]
    explain_main([*words, "--key", str(2 * A_DAY + 7)])
    assert "x_mean_1h" in capsys.readouterr().out
    export_main([*words, "--into", str(tmp_path / "export")])
    assert check_main(words) in (0, 1)
    assert lineage_main([*words, "--retrain", "model/1"]) == 0
    assert "same" in capsys.readouterr().out
    explore_main([*words, "--output", str(tmp_path / "page.html")])
    assert "since_repair" in (tmp_path / "page.html").read_text()


class Asked:
    """An endpoint of a lakehouse that is asked piece by piece."""

    def __init__(self, predict: Any) -> None:
        self._predict = predict

    def __call__(self, *rows: Mapping[str, Any]) -> Predicted:
        found: Predicted = asyncio.run(self._predict([dict(row) for row in rows]))
        return found


@contextmanager
def endpoint(lakehouse: Lakehouse) -> Iterator[Asked]:
    root, options = lakehouse.store.root, ServeOptions()
    with opened_endpoint(root, lakehouse.model, lakehouse.environment, options, {}) as opened:
        yield Asked(opened.predictor.predict)


def test_a_day_through_the_endpoint_and_the_stream_gives_equal_bits(
    spark: SparkSession, works: Lakehouse, tmp_path: Path
) -> None:
    lakehouse = remembering(spark, copied(works, tmp_path))
    numbers = list(range(3 * A_DAY, 4 * A_DAY))
    lines = readings(numbers)
    # Pieces come late, again, and several in a request.
    order = [*lines[:40], lines[45], *lines[40:45], lines[3], *lines[46:]]
    answered: dict[int, float | None] = {}
    with endpoint(lakehouse) as ask:
        with pytest.raises(Exception, match="break a rule"):
            ask({**lines[1], "x": "much"})
        for start in range(0, len(order), 7):
            some = order[start : start + 7]
            for row, answer in zip(some, ask(*some).answers, strict=True):
                answered.setdefault(row["id"], answer.score)
    for step in (ingest, score):
        step(lakehouse, AVAILABLE_NOW)
    rows = lakehouse.store.rows(lakehouse.catalog.predictions)
    assert {row["id"]: row["score"] for row in rows if row["id"] in answered} == answered
    told = served_values(lakehouse)
    assert {key: value for key, value in values(lakehouse, "readings").items() if key in told} == (
        told
    )
    assert set(told) == set(numbers)
    assert differing_answers(lakehouse) == ""


def served_values(lakehouse: Lakehouse) -> dict[int, tuple[Any, ...]]:
    """By key, the features that an endpoint has answered by, of the first time that it did."""
    raw = lakehouse.store.rows(
        lakehouse.catalog.bronze_readings, columns=["raw", "landed_file_id", "line"]
    )
    told: dict[int, tuple[Any, ...]] = {}
    for row in sorted(raw, key=lambda row: (row["landed_file_id"], row["line"])):
        line = json.loads(row["raw"])
        if "_served" in line:
            history = line["_served"]["history"]
            told.setdefault(line["id"], tuple(history[name] for name in FEATURES))
    return told


def test_a_caller_may_send_the_values_and_a_question_without_time_is_about_now(
    spark: SparkSession, works: Lakehouse, tmp_path: Path
) -> None:
    lakehouse = remembering(spark, copied(works, tmp_path))
    first = 3 * A_DAY
    with endpoint(lakehouse) as ask:
        given = {**readings([first])[0], "x_mean_1h": 0.9, "since_repair": 60.0}
        (high,) = ask(given).answers
        (low,) = ask({"x": 0.0, "z": 0.5, "x_mean_1h": -0.9}).answers
        assert (high.prediction, low.prediction) == ("ok", "broken")
        ask({"x": 0.0, "z": 0.5})
    told = served_values(lakehouse_with_landed(lakehouse))
    assert told == {first: (0.9, 60.0)}


def lakehouse_with_landed(lakehouse: Lakehouse) -> Lakehouse:
    ingest(lakehouse, AVAILABLE_NOW)
    return lakehouse


def rolling(settings: Settings) -> None:
    with_history(settings)
    by_canary(settings)


@pytest.fixture(scope="module")
def rolled_out(
    spark: SparkSession, works: Lakehouse, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Lakehouse, dict[int, tuple[str, float | None]]]:
    """A second version answers a quarter of the keys of a day, half of which come through an
    endpoint; with the version and the score of each answer. To be read alone.
    """
    lakehouse = remembering(spark, copied(works, tmp_path_factory.mktemp("rolled")), rolling)
    as_of = newest_label(PromotionLedger(lakehouse), None)
    assert as_of is not None
    train(lakehouse, as_of, passed=False)
    rollout_by_hand.start(lakehouse, "2", "ada", "to be compared")
    keep_rows(lakehouse)
    lines = readings(range(3 * A_DAY, 4 * A_DAY))
    half = len(lines) // 2
    answered: dict[int, tuple[str, float | None]] = {}
    with endpoint(lakehouse) as ask:
        for start in range(0, half, 7):
            some = lines[start : min(start + 7, half)]
            for row, answer in zip(some, ask(*some).answers, strict=True):
                answered[row["id"]] = answer.version, answer.score
    last = lines[half:]
    land_in(lakehouse, "reading", "the rest", last, at(last[-1]["id"]))
    for step in (ingest, score, aggregate_kpis):
        step(lakehouse, AVAILABLE_NOW)
    return lakehouse, answered


def test_both_arms_answer_by_the_same_features_at_the_endpoint_and_in_the_stream(
    rolled_out: tuple[Lakehouse, dict[int, tuple[str, float | None]]],
) -> None:
    lakehouse, answered = rolled_out
    catalog = lakehouse.catalog
    rows = lakehouse.store.rows(catalog.predictions)
    day = {row["id"]: row for row in rows if row["id"] >= 3 * A_DAY}
    rollout = next(row["rollout_id"] for row in lakehouse.store.rows(catalog.rollout))
    arms = {key: "2" if answers(rollout, key, 0.25) else "1" for key in day}
    assert {key: row["model_version"] for key, row in day.items()} == arms
    assert set(arms.values()) == {"1", "2"}
    assert {key: (day[key]["model_version"], day[key]["score"]) for key in answered} == answered
    assert values(lakehouse, "predictions") == values(lakehouse, "readings")
    told, landed = served_values(lakehouse), values(lakehouse, "readings")
    assert told == {key: landed[key] for key in answered}
    # The other version's word is of the same features.
    ledger, features = PromotionLedger(lakehouse), ["x", "z", *FEATURES]
    models = {version: ledger.load(version) for version in ("1", "2")}
    shadow = lakehouse.store.rows(catalog.shadow_predictions)
    assert {row["id"]: row["model_version"] for row in shadow} == {
        key: {"1": "2", "2": "1"}[arm] for key, arm in arms.items()
    }
    for row in shadow:
        asked = pd.DataFrame([{name: day[row["id"]][name] for name in features}], dtype=float)
        assert models[row["model_version"]].predict_proba(asked)[0, 1] == row["score"]
    assert differing_answers(lakehouse) == ""


def test_a_lakehouse_with_a_rollout_is_the_same_when_made_again_from_bronze(
    spark: SparkSession,
    rolled_out: tuple[Lakehouse, dict[int, tuple[str, float | None]]],
    tmp_path: Path,
) -> None:
    before, _ = rolled_out
    lost = tmp_path / "lost"
    shutil.copytree(
        before.store.root, lost, ignore=shutil.ignore_patterns("silver", "gold", "landing")
    )
    root = Path(copy_what_is_left(str(lost), str(tmp_path / "new")))
    again = remembering(spark, root, rolling)
    rebuild(again, str(lost))
    compared = compare(again, before.store.root)
    assert [str(each) for each in compared if not each.is_same or each.differences is None] == []
    rows = {each.name: each.rows for each in compared}
    assert rows["silver.shadow_prediction"] == A_DAY
    assert rows["gold.rollout"] == 1
