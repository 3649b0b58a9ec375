"""States of the small model that are written straight into its tables and its registry.

Nothing is landed, streamed or decided: which rows there are, what a version was trained on and
whether it took over is what the test says, whatever the policy is tuned to.
"""

import datetime as dt
import hashlib
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from pyspark.sql import SparkSession

from lakehouse.calendar import days_between
from lakehouse.instants import instant
from lakehouse.models import Classification
from lakehouse.monitoring.affected import AffectedWindows
from lakehouse.monitoring.aggregator import Aggregator
from lakehouse.retraining.policy.candidates.choice import Candidate
from lakehouse.retraining.policy.decide import REFRESH, RETRAIN, TRAIN_FIRST, Decision
from lakehouse.retraining.policy.document import PolicyRecord
from lakehouse.retraining.policy.gate import GateResult
from lakehouse.retraining.policy.version import judged_rows, record_of
from lakehouse.retraining.ports import Judged
from lakehouse.retraining.promoted_models import PromotedModels
from lakehouse.retraining.spark_trainer import SparkTrainer
from lakehouse.retraining.table_ledger import TableLedger
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.store import Row
from lakehouse.tables import Table
from lakehouse.versions.ledger import PromotionLedger
from tests.support.small_model import (
    Settings,
    at,
    is_ok,
    measured,
    small_lakehouse,
    unchanged,
)

A_DAY = 144
DELAY = dt.timedelta(days=1)
CHANGED = 3 * A_DAY
"""The first row of the new rule in the states below: at midnight of 4 March."""


def after_change(number: int) -> str:
    """The rule that labels follow once it has changed: z may not be great either."""
    return is_ok(number) if measured(number)[1] < 0.5 else "broken"


def ruled(number: int) -> str:
    """The rule of the states below, before the change and after it."""
    return after_change(number) if number >= CHANGED else is_ok(number)


def told_at(number: int) -> dt.datetime:
    """When the label of a row comes."""
    return at(number) + DELAY


def write_readings(lakehouse: Lakehouse, numbers: Iterable[int]) -> None:
    """Valid readings, as ingest leaves them."""
    rows = [
        {"id": number, "at": at(number), **dict(zip("xz", measured(number), strict=True))}
        | {"source_file": "written", "line": number, "landed_file_id": 1}
        for number in numbers
    ]
    lakehouse.store.append_rows(rows, lakehouse.catalog.readings)


def write_labels(
    lakehouse: Lakehouse, numbers: Iterable[int], label: Callable[[int], str] = ruled
) -> None:
    """Their labels, a day after them."""
    rows = [
        {"id": number, "told": told_at(number), "y": label(number)}
        | {"source_file": "written", "line": number, "landed_file_id": 2}
        for number in numbers
    ]
    lakehouse.store.append_rows(rows, lakehouse.catalog.labels)


def write_predictions(
    lakehouse: Lakehouse, numbers: Iterable[int], version: str, query: str = "written"
) -> None:
    """What a promoted version predicts for the readings, as scoring leaves it."""
    every = list(numbers)
    frame = pd.DataFrame([dict(zip("xz", measured(number), strict=True)) for number in every])
    ledger = PromotionLedger(lakehouse)
    meaning = ledger.meaning(version)
    problem = meaning.problem
    assert isinstance(problem, Classification)
    outputs = problem.outputs(ledger.load(version), meaning.features.frame(frame))
    codes = problem.predicted(outputs)
    score = outputs[:, list(problem.classes).index(lakehouse.model.positive)]
    rows = [
        {
            "id": number,
            "at": at(number),
            **frame.iloc[place].to_dict(),
            "prediction": problem.classes[codes[place]],
            "score": float(score[place]),
            "probability": dict(zip(problem.classes, map(float, outputs[place]), strict=True)),
            "model_version": version,
            "query_id": query,
            "batch_id": int(version),
        }
        for place, number in enumerate(every)
    ]
    lakehouse.store.append_rows(rows, lakehouse.catalog.predictions)


def train(
    lakehouse: Lakehouse,
    as_of: dt.datetime,
    change_at: dt.datetime | None = None,
    passed: bool = True,
    candidate: Candidate | None = None,
) -> Judged:
    """Decide on a training, train on the labelled rows that there are, and record the gate's word.

    Args:
        lakehouse: whose version it becomes.
        as_of: newest label time that has landed.
        change_at: since when the rows count; all of them, if it is not given.
        passed: what the gate says; it takes over then, unless a person is to be asked.
        candidate: on which rows; those since the change, if it is not given.
    """
    ledger, models = TableLedger(lakehouse), PromotedModels(PromotionLedger(lakehouse))
    history, since = ledger.history, None if change_at is None else instant(change_at)
    action = TRAIN_FIRST if history.champion is None else RETRAIN if change_at else REFRESH
    decision = Decision(action, "written", ("the test says so",), change_at=since)
    trainer = SparkTrainer(models, decision, as_of, history)
    rows = trainer.labelled.rows
    champion = history.champion_record
    of_champion = replace(decision, change_at=champion.changed_at if champion else None)
    labelled = float(judged_rows(of_champion, rows).sum())
    decision = replace(decision, evidence={"labelled": labelled})
    ledger.record_decision(instant(as_of), decision, None, ())
    judged = judged_rows(decision, rows)
    chosen = candidate or Candidate("everything" if since is None else "since_change", start=since)
    [fitted] = trainer.cross_fit([chosen], judged)
    assert fitted is not None
    trained = trainer.fit(fitted, judged)
    version = record_of(0, trained.fitted, decision, instant(as_of), rows, history.champion_record)
    record = PolicyRecord(version, rows.names, chosen.name, float(fitted.weights.max()))
    share = float((~rows.wrong(trained.fitted.predictions)[judged]).mean())
    # It gains much: training again pays after half of the rows.
    evidence = {"challenger_accuracy": share, "rows": float(judged.sum()), "avoided": 99.0}
    evidence |= trainer.cost
    result = GateResult(passed, "the test says so", evidence)
    number = trainer.register(trained, judged, result, record)
    found = Judged(number, result, record.numbered(number))
    ledger.record_result(instant(as_of), decision, found)
    return found


def aggregate(lakehouse: Lakehouse, first: int, last: int, newest_label: dt.datetime) -> None:
    """The facts and the metrics of the days from one row's to another's."""
    days = days_between(at(first).date(), at(last).date())
    affected = AffectedWindows(days=frozenset(days), newest_label=newest_label)
    Aggregator(lakehouse).compute(affected, "written")


def of_two_families(settings: Settings) -> None:
    """A forest's worth of rows is not there: a tree and a line."""
    families = {"decision_tree": {"max_depth": [3]}, "logistic_regression": {"C": [1.0]}}
    settings["training"]["families"] = families


def by_week(settings: Settings) -> None:
    """Windows of weeks, too: 4 March, when the rule changes, is a Monday."""
    settings["metrics"]["granularities"] = ["1 day", "1 week"]


def first_version(
    spark: SparkSession, root: Path, change: Callable[[Settings], Any] = unchanged
) -> Lakehouse:
    """Version 1 of the rows of the first day has predicted all of the first two; the labels of the
    first have come.
    """
    lakehouse = small_lakehouse(spark, root, change)
    write_readings(lakehouse, range(2 * A_DAY))
    write_labels(lakehouse, range(A_DAY))
    train(lakehouse, told_at(A_DAY - 1))
    write_predictions(lakehouse, range(2 * A_DAY), "1")
    aggregate(lakehouse, 0, 2 * A_DAY - 1, told_at(A_DAY - 1))
    return lakehouse


def second_version(
    spark: SparkSession, root: Path, change: Callable[[Settings], Any] = unchanged
) -> Lakehouse:
    """`first_version` gone on to a second."""
    lakehouse = first_version(spark, root, change)
    go_on_to_second(lakehouse)
    return lakehouse


def go_on_to_second(lakehouse: Lakehouse) -> None:
    """The rule has changed at `CHANGED`; version 2, of the labelled rows since then, has taken over
    as of the midnight at which the labels of that day had come.

    Version 1 predicted until then: its last day's labels come under version 2.
    """
    write_readings(lakehouse, range(2 * A_DAY, 5 * A_DAY))
    write_predictions(lakehouse, range(2 * A_DAY, 5 * A_DAY), "1")
    write_labels(lakehouse, range(A_DAY, 4 * A_DAY))
    train(lakehouse, told_at(4 * A_DAY - 1), at(CHANGED))
    aggregate(lakehouse, 0, 5 * A_DAY - 1, told_at(4 * A_DAY - 1))


def a_day_of_second(lakehouse: Lakehouse) -> dt.datetime:
    """Version 2 has predicted two days, and the labels of a day of each version have come; returns
    the newest label time.
    """
    write_readings(lakehouse, range(5 * A_DAY, 7 * A_DAY))
    write_predictions(lakehouse, range(5 * A_DAY, 7 * A_DAY), "2")
    write_labels(lakehouse, range(4 * A_DAY, 6 * A_DAY))
    newest = told_at(6 * A_DAY - 1)
    aggregate(lakehouse, 4 * A_DAY, 7 * A_DAY - 1, newest)
    return newest


def copy_of(
    lakehouse: Lakehouse, root: Path, change: Callable[[Settings], Any] = unchanged
) -> Lakehouse:
    """A copy to write to, under the same settings or others."""
    shutil.copytree(lakehouse.store.root, root)
    return small_lakehouse(lakehouse.spark, root, change)


def with_model(lakehouse: Lakehouse, **given: Any) -> Lakehouse:
    """The lakehouse under other settings of its model."""
    return replace(lakehouse, model=lakehouse.model.model_copy(update=given))


def rewrite_promotions(lakehouse: Lakehouse, change: Callable[[Row], Row]) -> Lakehouse:
    """Another word of the ledger: each of its rows after a change; returns the lakehouse anew."""
    ledger = PromotionLedger(lakehouse)
    shutil.rmtree(lakehouse.store.path(lakehouse.catalog.promotion))
    # A store goes on from the log that it has read, so this is another one.
    anew = replace(lakehouse, store=replace(lakehouse.store))
    anew.store.create_missing()
    for row in ledger.rows:
        anew.store.append_rows([change(row)], anew.catalog.promotion)
    return anew


def replace_model_file(lakehouse: Lakehouse, version: str, content: bytes) -> Lakehouse:
    """Another file of a version, with its digest on record; returns the lakehouse anew."""
    digest = hashlib.sha256(content).hexdigest()
    model_file(lakehouse, version).write_bytes(content)
    return rewrite_promotions(
        lakehouse,
        lambda row: {**row, "model_sha256": digest} if row["to_version"] == version else row,
    )


def model_file(lakehouse: Lakehouse, version: str) -> Path:
    """Where the file of a version lies."""
    run_id = lakehouse.registry.version(version).run_id
    artifacts = Path(lakehouse.store.root) / "mlflow" / "artifacts"
    return artifacts / run_id / "artifacts" / "model" / "model.skops"


def forget_newest_commit(root: Path, table: Table) -> None:
    """The table as it is on disk where a process was killed before its newest write was done."""
    log = root / table.layer / table.name / "_delta_log"
    newest = max(log.glob("*.json"))
    for path in (newest, log / f"{newest.stem}.crc", log / f".{newest.name}.crc"):
        path.unlink(missing_ok=True)


def forget_newest_batch(root: Path, query: str) -> None:
    """The same of a stream's newest micro-batch, which is replayed then."""
    commits = root / "_system" / "checkpoints" / query / "commits"
    newest = max(commits.glob("[0-9]*"), key=lambda path: int(path.name))
    for path in (newest, commits / f".{newest.name}.crc"):
        path.unlink(missing_ok=True)
