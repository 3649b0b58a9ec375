"""Rows that an endpoint answers while a rollout runs, followed to its verdict: both arms count as
they were answered.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from lakehouse.ingest.pipeline import ingest
from lakehouse.retraining.rollout_night import labelled_of
from lakehouse.retraining.table_ledger import TableLedger
from lakehouse.rollouts.arms import answers
from lakehouse.rollouts.verdict import Labelled
from lakehouse.scoring.scorer import score
from lakehouse.serving.serve import ServeOptions, opened_endpoint
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.queries import AVAILABLE_NOW
from lakehouse.versions.rollouts import RolloutLedger
from tests.support.engines import known_to_spark, spark_rows
from tests.support.rolled_out import BEFORE, ROLLOUT, begun, by_canary
from tests.support.small_model import Settings, land_lines, readings, truths
from tests.support.written import A_DAY, ruled, told_at

ASKED = range(BEFORE + A_DAY, BEFORE + A_DAY + 80)
SHARE, NEXT_SHARE = 0.25, 0.5


def by_arms(settings: Settings) -> None:
    by_canary(settings, label_follows_prediction=True)


def answered(lakehouse: Lakehouse, rows: Sequence[Any]) -> list[str]:
    """The version that answered each row; the rows have landed then."""
    with opened_endpoint(
        lakehouse.store.root, lakehouse.model, lakehouse.environment, ServeOptions(), {}
    ) as endpoint:
        predicted = asyncio.run(endpoint.predictor.predict(rows))
    return [answer.version for answer in predicted.answers]


def scored_and_labelled(lakehouse: Lakehouse) -> Labelled:
    """Take in and score what was answered; its labels come."""
    land_lines(lakehouse, "gateway", [], truths(ASKED, ruled))
    for step in (ingest, score):
        step(lakehouse, AVAILABLE_NOW)
    ledger = TableLedger(lakehouse)
    rollout = ledger.rollouts.running
    assert rollout is not None
    return labelled_of(ledger, rollout, told_at(ASKED[-1]))


def production(lakehouse: Lakehouse) -> dict[int, str]:
    """The version of the production prediction of each row that was asked about."""
    rows = lakehouse.store.rows(lakehouse.catalog.predictions)
    return {row["id"]: row["model_version"] for row in rows if row["id"] in ASKED}


@pytest.mark.parametrize("change", [by_canary, by_arms])
def test_served_rows_of_both_arms_count_as_they_were_answered(
    spark: SparkSession, tmp_path: Path, change: Any
) -> None:
    lakehouse = begun(spark, tmp_path, change)
    versions = answered(lakehouse, readings(ASKED))
    expected = ["2" if answers(ROLLOUT, key, SHARE) else "1" for key in ASKED]
    assert versions == expected
    assert set(versions) == {"1", "2"}
    found = scored_and_labelled(lakehouse)
    assert production(lakehouse) == dict(zip(ASKED, versions, strict=True))
    assert found.pairs.rows == len(ASKED)
    assert sum(block.challenger_rows for block in found.blocks) == versions.count("2")
    assert sum(block.champion_rows for block in found.blocks) == versions.count("1")
    with known_to_spark(spark, lakehouse.store.root):
        told = spark_rows(spark, "SELECT * FROM gold.served_answer")
    # Readings that are written to silver by hand have places of lines that have landed.
    seen = [row for row in told if int(row["key"]) in ASKED]
    assert {row["key"]: row["served_version"] for row in seen} == {
        str(key): version for key, version in zip(ASKED, versions, strict=True)
    }
    assert all(row["is_same"] and row["is_same_version"] for row in seen)


@pytest.mark.parametrize("change", [by_canary, by_arms])
def test_a_row_that_was_answered_before_a_step_and_scored_after_it_is_of_neither_arm(
    spark: SparkSession, tmp_path: Path, change: Any
) -> None:
    lakehouse = begun(spark, tmp_path, change)
    versions = answered(lakehouse, readings(ASKED))
    [row] = RolloutLedger(lakehouse).rows
    later = row["recorded_at"].replace(microsecond=999_999)
    step = {**row, "action": "step", "share": NEXT_SHARE, "recorded_at": later}
    lakehouse.store.append_rows([step], lakehouse.catalog.rollout)
    found = scored_and_labelled(lakehouse)
    stepped = ["2" if answers(ROLLOUT, key, NEXT_SHARE) else "1" for key in ASKED]
    assert production(lakehouse) == dict(zip(ASKED, stepped, strict=True))
    moved = sum(one != other for one, other in zip(versions, stepped, strict=True))
    assert moved
    # Where the label does not follow the answer, both versions have scored each row: all count.
    counted = len(ASKED) if change is by_canary else len(ASKED) - moved
    of_arms = [(block.champion_rows, block.challenger_rows) for block in found.blocks]
    assert sum(map(sum, of_arms)) == counted
    if change is by_arms:
        assert sum(challenger for _, challenger in of_arms) == versions.count("2")
