"""While a rollout runs: each row once in production by its arm, the other version's word beside it,
and nothing that a challenger does disturbs production.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from pyspark.sql import SparkSession
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from lakehouse.lineage.verification import DIFFERENT
from lakehouse.models import load
from lakehouse.rollouts.arms import answers
from lakehouse.scoring.scorer import score
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.queries import AVAILABLE_NOW
from lakehouse.verification.verify import checks_of
from lakehouse.versions.ledger import PromotionLedger
from lakehouse.versions.rollouts import RolloutLedger
from tests.support.kills import KilledError, Steps, stepping
from tests.support.rolled_out import BEFORE, ROLLOUT, begun, by_canary
from tests.support.small_model import small_lakehouse, unchanged
from tests.support.written import (
    A_DAY,
    forget_newest_batch,
    forget_newest_commit,
    model_file,
    replace_model_file,
    write_readings,
)

FIRST_DAY = range(BEFORE, BEFORE + A_DAY)


@pytest.fixture(scope="module")
def scored(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lakehouse:
    """To be read alone."""
    lakehouse = begun(spark, tmp_path_factory.mktemp("two-arms"))
    score(lakehouse, AVAILABLE_NOW)
    return lakehouse


def frame_of(lakehouse: Lakehouse, part: str) -> pd.DataFrame:
    found = lakehouse.store.arrow(getattr(lakehouse.catalog, part)).to_pandas()
    return found.sort_values("id", ignore_index=True)


def production(lakehouse: Lakehouse) -> pd.DataFrame:
    """Of the rollout's first day."""
    found = frame_of(lakehouse, "predictions")
    return found[found["id"] >= BEFORE].reset_index(drop=True)


def arms(share: float = 0.25) -> list[str]:
    return ["2" if answers(ROLLOUT, key, share) else "1" for key in FIRST_DAY]


def assert_all_by_the_champion(lakehouse: Lakehouse) -> None:
    found = production(lakehouse)
    assert found["id"].tolist() == list(FIRST_DAY)
    assert set(found["model_version"]) == {"1"}


def assert_each_row_once(lakehouse: Lakehouse, share: float = 0.25) -> None:
    found, shadow = production(lakehouse), frame_of(lakehouse, "shadow_predictions")
    assert found["id"].tolist() == shadow["id"].tolist() == list(FIRST_DAY)
    assert found["model_version"].tolist() == arms(share)
    assert (found["model_version"] != shadow["model_version"]).all()


def test_production_takes_the_answer_of_the_keys_arm_and_keeps_the_other_one(
    scored: Lakehouse,
) -> None:
    assert_each_row_once(scored)
    assert 15 < arms().count("2") < 60
    ledger, found = PromotionLedger(scored), production(scored)
    shadow = frame_of(scored, "shadow_predictions")
    features = found[["x", "z"]]
    for version in ("1", "2"):
        expected = ledger.load(version).predict_proba(features)
        classes = np.asarray(scored.model.classes)
        for rows in (found, shadow):
            own = (rows["model_version"] == version).to_numpy()
            assert (
                rows["prediction"][own].tolist() == classes[expected.argmax(axis=1)][own].tolist()
            )
            np.testing.assert_array_equal(rows["score"][own], expected[own, 1])
    assert shadow["error"].isna().all()
    assert set(shadow["rollout_id"]) == {ROLLOUT}


def test_the_ledger_and_the_costs_tell_of_both_versions(scored: Lakehouse) -> None:
    ledger = scored.store.rows(scored.catalog.scoring_ledger)
    bound = [row for row in ledger if row["rollout_id"]]
    assert [(row["model_version"], row["challenger_version"]) for row in bound] == [("1", "2")]
    assert bound[0]["challenger_share"] == 0.25
    [cost] = [row for row in scored.store.rows(scored.catalog.scoring_cost) if row["rollout_id"]]
    both = production(scored).merge(frame_of(scored, "shadow_predictions"), on="id")
    differ = int((both["prediction_x"] != both["prediction_y"]).sum())
    told = (cost["challenger_rows"], cost["challenger_errors"], cost["challenger_disagreements"])
    assert told == (A_DAY, 0, differ)
    assert differ > 0
    assert cost["challenger_seconds"] > 0


def test_what_is_scored_while_a_rollout_runs_is_as_promised(scored: Lakehouse) -> None:
    checks = list(checks_of(scored, ()))
    of_rollouts = {check.what for check in checks} & {"arms of rows", "rollouts on both records"}
    assert len(of_rollouts) == 2
    told = [check for check in checks if check.state == DIFFERENT]
    assert {check.what for check in told} <= {"metrics from scratch"}  # nothing was aggregated


def test_a_replay_and_a_lost_checkpoint_leave_no_row_twice_on_either_side(
    spark: SparkSession, tmp_path: Path
) -> None:
    lakehouse = begun(spark, tmp_path)
    score(lakehouse, AVAILABLE_NOW)
    root = Path(lakehouse.store.root)
    forget_newest_batch(root, "score")
    lakehouse = small_lakehouse(spark, root, by_canary)
    score(lakehouse, AVAILABLE_NOW)
    assert_each_row_once(lakehouse)
    # The newest commit of predictions is lost, too: they are made again, the shadow's are there.
    for table in (lakehouse.catalog.predictions, lakehouse.catalog.table_commit):
        forget_newest_commit(root, table)
    lakehouse = small_lakehouse(spark, root, by_canary)
    shutil.rmtree(lakehouse.store.checkpoint("score"))
    score(lakehouse, AVAILABLE_NOW)
    assert_each_row_once(lakehouse)


def test_a_run_killed_at_every_step_of_a_rollouts_batch_ends_as_one_that_was_not(
    spark: SparkSession, tmp_path: Path, scored: Lakehouse
) -> None:
    begun(spark, tmp_path)
    died_at: set[str] = set()
    while True:
        steps = Steps(lambda name: name not in died_at)
        try:
            with stepping(steps):
                score(small_lakehouse(spark, tmp_path / "lake", by_canary), AVAILABLE_NOW)
            break
        except KilledError:
            died_at.add(steps.reached[-1])
    # Small files are gathered when the row is written.
    died_at = {name.replace("before gather of", "after write of") for name in died_at}
    named = ("silver.scoring_ledger", "silver.guess", "silver.shadow_prediction")
    named += ("silver.scoring_cost",)
    assert died_at >= {f"{when} write of {name}" for name in named for when in ("before", "after")}
    lakehouse = small_lakehouse(spark, tmp_path / "lake", by_canary)
    assert_each_row_once(lakehouse)
    for part in ("predictions", "shadow_predictions"):
        kept = [name for name in frame_of(scored, part) if name not in ("query_id", "probability")]
        pd.testing.assert_frame_equal(
            frame_of(lakehouse, part)[kept], frame_of(scored, part)[kept], check_like=True
        )


def broken(pipeline: Pipeline, change: Callable[[LogisticRegression], None]) -> bytes:
    """The file of a line in place of a tree, after a change of it."""
    generator = np.random.default_rng(0)
    line = LogisticRegression().fit(generator.normal(size=(20, 2)), [0, 1] * 10)
    change(line)
    return skops.io.dumps(Pipeline([*pipeline.steps[:-1], (pipeline.steps[-1][0], line)]))


def says_nothing(line: LogisticRegression) -> None:
    line.coef_ = np.full_like(line.coef_, np.nan)


def raises(line: LogisticRegression) -> None:
    line.coef_ = line.coef_[:, :1]


@pytest.mark.parametrize(
    ("change", "error"), [(says_nothing, "not finite"), (raises, "ValueError")]
)
def test_a_challenger_that_fails_disturbs_no_row_of_production_and_its_rollout_is_aborted(
    spark: SparkSession, tmp_path: Path, change: Callable[[LogisticRegression], None], error: str
) -> None:
    lakehouse = begun(spark, tmp_path)
    version = lakehouse.registry.version("2")
    pipeline = load(lakehouse.registry.model_file(version), version.sha256)
    lakehouse = replace_model_file(lakehouse, "2", broken(pipeline, change))
    score(lakehouse, AVAILABLE_NOW)
    assert_all_by_the_champion(lakehouse)
    shadow = frame_of(lakehouse, "shadow_predictions")
    assert set(shadow["error"]) == {error}
    assert shadow["prediction"].isna().all()
    [end] = [row for row in RolloutLedger(lakehouse).rows if row["action"] == "abort"]
    words = f"the challenger gave no finite answer for {A_DAY} of {A_DAY} rows"
    assert (end["who"], end["rule"], end["reason"]) == ("score", "errors", words)
    write_readings(lakehouse, range(BEFORE + A_DAY, BEFORE + A_DAY + 3))
    score(lakehouse, AVAILABLE_NOW)
    assert len(frame_of(lakehouse, "shadow_predictions")) == A_DAY
    # The arm's rows are the champion's with an error beside them: that is as promised.
    checks = [check for check in checks_of(lakehouse, ()) if check.what == "arms of rows"]
    assert [check.state for check in checks] == ["same"]


def test_a_challenger_whose_file_is_refused_ends_its_rollout_and_the_champion_scores(
    spark: SparkSession, tmp_path: Path
) -> None:
    lakehouse = begun(spark, tmp_path)
    file = model_file(lakehouse, "2")
    file.write_bytes(file.read_bytes() + b" ")
    score(lakehouse, AVAILABLE_NOW)
    assert_all_by_the_champion(lakehouse)
    assert lakehouse.store.count(lakehouse.catalog.shadow_predictions) == 0
    [end] = [row for row in RolloutLedger(lakehouse).rows if row["action"] == "abort"]
    assert end["rule"] == "refused"
    assert "is not loaded" in end["reason"]
    assert "challenger" not in lakehouse.registry._client.get_registered_model("small").aliases


def test_a_replayed_batch_whose_challenger_is_gone_is_the_champions(
    spark: SparkSession, tmp_path: Path
) -> None:
    """It is cut off after its ledger row; then the challenger's file is damaged."""
    lakehouse = begun(spark, tmp_path)
    with (
        pytest.raises(KilledError),
        stepping(Steps(lambda name: name == "before write of silver.guess")),
    ):
        score(lakehouse, AVAILABLE_NOW)
    file = model_file(lakehouse, "2")
    file.write_bytes(file.read_bytes() + b" ")
    score(small_lakehouse(spark, tmp_path / "lake", by_canary), AVAILABLE_NOW)
    assert_all_by_the_champion(lakehouse)
    assert set(frame_of(lakehouse, "shadow_predictions")["error"]) == {"not loaded"}


def test_a_shadow_answers_no_row(spark: SparkSession, tmp_path: Path) -> None:
    lakehouse = begun(spark, tmp_path)
    shares = [0.0]
    table = lakehouse.catalog.rollout
    [row] = lakehouse.store.rows(table)
    forget = {**row, "share": shares[0], "action": "hold", "recorded_at": row["recorded_at"]}
    later = forget["recorded_at"].replace(microsecond=999_999)
    lakehouse.store.append_rows([{**forget, "recorded_at": later}], table)
    score(lakehouse, AVAILABLE_NOW)
    assert_all_by_the_champion(lakehouse)
    shadow = frame_of(lakehouse, "shadow_predictions")
    assert shadow["model_version"].tolist() == ["2"] * A_DAY


def test_without_a_rollout_the_challenger_is_not_asked(spark: SparkSession, tmp_path: Path) -> None:
    """The champion of the ledger has changed: the rollout was compared with another one."""
    lakehouse = begun(spark, tmp_path)
    ledger = PromotionLedger(lakehouse)
    last = ledger.newest[-1]
    ledger.record({**last, "action": "promote", "rollout_id": None})
    score(small_lakehouse(spark, tmp_path / "lake", unchanged), AVAILABLE_NOW)
    found = production(lakehouse)
    assert set(found["model_version"]) == {"2"}
    assert lakehouse.store.count(lakehouse.catalog.shadow_predictions) == 0
