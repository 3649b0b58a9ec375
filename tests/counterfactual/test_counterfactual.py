"""What would have been right otherwise: the daily model sees no label of the future; the table is
what its rows say.
"""

import datetime as dt
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from deltalake import DeltaTable
from pyspark.sql import functions as F
from sklearn.tree import DecisionTreeClassifier

from lakehouse.calendar import days_between
from lakehouse.counterfactual.comparison import compare_with_alternatives
from lakehouse.counterfactual.daily import known_at, retrained_daily
from lakehouse.models import load
from lakehouse.monitoring.aggregator import QUERY, aggregate_kpis
from lakehouse.retraining.policy.records import Rows
from lakehouse.storage.delta_log import days_written
from lakehouse.storage.partitions import on_days
from lakehouse.storage.queries import AVAILABLE_NOW
from lakehouse.storage.store import Store, Transaction
from lakehouse.versions.ledger import PromotionLedger
from tests.support.rows import moment, parcel_depot, repair_shop

DAY, HOUR = np.timedelta64(1, "D"), np.timedelta64(1, "h")
MIDNIGHT = np.datetime64("2024-03-10", "us")
SENSORS = ["temp", "pressure", "duration"]


def hourly(labels: list[int], delay: np.timedelta64) -> Rows:
    """A row an hour, the last an hour before midnight; each with one feature, its place."""
    event_time = MIDNIGHT - np.arange(len(labels), 0, -1) * HOUR
    features = np.arange(len(labels), dtype=float)[:, None]
    return Rows(("place",), features, np.array(labels), event_time, event_time + delay)


def places(rows: Rows, days: int = 7, least: int = 1, most: int = 1_000) -> list[int]:
    return np.flatnonzero(known_at(rows, MIDNIGHT, days * DAY, least, most)).tolist()


def test_a_training_takes_no_row_whose_label_comes_after_its_midnight() -> None:
    assert places(hourly([0] * 10, delay=np.timedelta64(4, "h"))) == list(
        range(7)
    )  # 7 hours: told at midnight sharp
    assert places(hourly([0] * 10, delay=DAY)) == []


def test_a_row_whose_label_time_precedes_its_event_time_is_not_taken_before_its_event_time() -> (
    None
):
    rows = hourly([0] * 10, delay=-DAY)
    assert not known_at(rows, MIDNIGHT - 5 * HOUR, DAY, 1, 9)[5:].any()


def test_its_window_ends_with_the_newest_row_that_is_known() -> None:
    rows = hourly([0] * 72, delay=DAY)
    assert places(rows, days=1) == list(
        range(25, 49)
    )  # the day before the newest known, which is place 48


def test_it_reaches_back_where_the_window_holds_fewer_than_a_first_training_takes() -> None:
    rows = hourly([0] * 72, delay=DAY)
    assert places(rows, days=1, least=30) == list(range(19, 49))
    assert places(rows, days=1, most=5) == list(range(44, 49))


def test_its_predictions_are_those_of_a_model_of_the_rows_that_it_takes_alone() -> None:
    rows = hourly([0] * 40 + [1] * 80, delay=DAY)
    day = MIDNIGHT - 2 * DAY  # its rows are places 72 to 95
    asked: list[Any] = []

    def learner(features: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> Any:
        asked.append((features[:, 0].tolist(), labels.tolist(), set(weights.tolist())))
        return DecisionTreeClassifier().fit(features, labels, weights)

    found = retrained_daily(rows, day, known_at(rows, day, DAY, 1, 99), learner)
    assert asked == [(list(range(25, 49)), [0] * 15 + [1] * 9, {1.0})]
    assert (found.predictions.tolist(), found.trained_rows) == ([1] * 24, 24)


def test_where_all_known_labels_are_the_same_it_predicts_nothing_else() -> None:
    rows = hourly([0] * 60 + [1] * 60, delay=DAY)

    def refuses(*_: Any) -> Any:
        raise ValueError("needs samples of at least 2 classes")

    found = retrained_daily(
        rows, MIDNIGHT - 2 * DAY, known_at(rows, MIDNIGHT - 2 * DAY, 7 * DAY, 1, 99), refuses
    )
    assert (found.predictions.tolist(), found.trained_rows) == ([0] * 24, 49)


def counterfactual(lakehouse) -> pd.DataFrame:
    rows = lakehouse.store.arrow(lakehouse.catalog.counterfactual).to_pandas()
    return rows.set_index(["window_date", "alternative"]).sort_index()


def without_clocks(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.drop(columns=["training_seconds", "as_of"])


def labelled(lakehouse) -> pd.DataFrame:
    """Labelled predictions with naive times, whether their hour was trained on, what the first
    model calls them.
    """
    labels = lakehouse.store.read(lakehouse.catalog.labels).select(
        "pid", "quality", "qualitycheck_time"
    )
    rows = (
        lakehouse.store.read(lakehouse.catalog.predictions)
        .join(labels, "pid")
        .orderBy("pid")
        .toPandas()
    )
    rows["hour"] = rows["process_time"].dt.floor("h")
    rows["seen"] = False
    for version, span in PromotionLedger(lakehouse).trained_spans.items():
        start, end = (each.replace(tzinfo=None) for each in span)
        rows["seen"] |= (rows["model_version"] == version) & rows["process_time"].between(
            start, end
        )
    rows["seen"] = rows.groupby(["hour", "model_version"])["seen"].transform("any")
    version = lakehouse.registry.version("1")
    first = load(lakehouse.registry.model_file(version), version.sha256)
    return rows.assign(first=first.predict(rows[SENSORS]), day=rows["process_time"].dt.date)


def daily_model(rows: pd.DataFrame, day: dt.date) -> DecisionTreeClassifier | None:
    """What somebody trains at the day's midnight who has never heard of this code."""
    known = rows[rows["qualitycheck_time"] <= pd.Timestamp(day)].sort_values("process_time")
    recent = known[known["process_time"] > known["process_time"].max() - pd.Timedelta(days=7)]
    if len(known) < 1000:
        return None
    recent = recent if len(recent) >= 1000 else known.tail(1000)
    return DecisionTreeClassifier(ccp_alpha=0.005, random_state=0).fit(
        recent[SENSORS], recent["quality"]
    )


def test_the_table_is_what_an_independent_computation_finds(newest) -> None:
    rows, expected = labelled(newest), {}
    for day, own in rows[~rows["seen"]].groupby("day"):
        model = daily_model(rows, day)
        predictions = own["first"] if model is None else model.predict(own[SENSORS])
        right = (own["prediction"] == own["quality"]).sum()
        expected[day, "never"] = (len(own), right, (own["first"] == own["quality"]).sum(), 0)
        expected[day, "daily"] = (
            len(own),
            right,
            (predictions == own["quality"]).sum(),
            int(model is not None),
        )
    found = counterfactual(newest)
    columns = ["n_labelled", "n_right", "n_right_otherwise", "trainings"]
    assert {
        key: tuple(row) for key, row in zip(found.index, found[columns].to_numpy(), strict=True)
    } == expected
    assert len(expected) >= 2 * 8
    assert {row[3] for key, row in expected.items() if key[1] == "daily"} == {1}
    otherwise = found["n_right_otherwise"].unstack()
    assert (otherwise["never"] != otherwise["daily"]).any()
    retrained = found.loc[
        dt.date(2019, 7, 16)
    ]  # a week of labels is mostly of before the change of the 12th
    assert (retrained["n_right"] > retrained["n_right_otherwise"] + 30).all()


def test_an_empty_table_is_filled_from_the_facts_on_record(plant, tmp_path) -> None:
    lakehouse = plant.copy("newest", tmp_path)
    before = counterfactual(lakehouse)
    shutil.rmtree(lakehouse.store.path(lakehouse.catalog.counterfactual))
    lakehouse.store.create_missing()
    compare_with_alternatives(lakehouse)
    pd.testing.assert_frame_equal(without_clocks(counterfactual(lakehouse)), without_clocks(before))


def test_until_there_are_labels_enough_for_a_first_training_the_first_model_is_all_there_is(
    plant, tmp_path
) -> None:
    lakehouse = plant.copy("newest", tmp_path)
    training = lakehouse.model.training.model_copy(
        update={"first_after": 4_000}
    )  # known at the midnight of the 16th
    later = replace(lakehouse, model=lakehouse.model.model_copy(update={"training": training}))
    compare_with_alternatives(later, days_between(dt.date(2019, 7, 1), dt.date(2019, 7, 17)))
    found = without_clocks(counterfactual(later))
    never, daily = (found.xs(name, level="alternative") for name in ("never", "daily"))
    waits = daily["trainings"] == 0
    pd.testing.assert_frame_equal(daily[waits], never[waits])
    assert [f"{day:%d}" for day in daily.index[~waits]] == ["16"]
    assert daily.loc[dt.date(2019, 7, 16), "trained_rows"] == 4_000  # seven days are fewer


def test_without_the_daily_alternative_the_first_model_alone_is_compared(plant, tmp_path) -> None:
    lakehouse = plant.copy("newest", tmp_path)
    settings = lakehouse.model.counterfactual.model_copy(update={"daily": False})
    alone = replace(
        lakehouse, model=lakehouse.model.model_copy(update={"counterfactual": settings})
    )
    day = dt.date(2019, 7, 16)
    compare_with_alternatives(alone, [day])
    assert list(counterfactual(alone).loc[day].index) == ["never"]


def test_only_days_whose_facts_were_written_since_are_looked_at(plant, tmp_path) -> None:
    lakehouse = plant.copy("newest", tmp_path)
    facts, store = lakehouse.catalog.window_facts, lakehouse.store
    path, version = store.path(facts), store.version(facts)
    assert days_written(path, version, version) == frozenset()
    tell(lakehouse, 1, 5)
    newest = store.version(facts)
    assert dt.date(2019, 7, 17) in days_written(path, version, newest) <= store.days(facts)
    (Path(path) / "_delta_log" / f"{version + 1:020d}.json").unlink()  # as Delta does after a month
    assert days_written(path, version, newest) is None


def tell(lakehouse, transaction: int, count: int) -> None:
    """Labels of so many pieces of 17 July that have none yet."""
    catalog, store = lakehouse.catalog, lakehouse.store
    known = store.read(catalog.labels)
    waiting = (
        store.read(catalog.predictions)
        .join(known, "pid", "left_anti")
        .where("process_time >= '2019-07-17'")
    )
    new = waiting.orderBy("pid").limit(count).select("pid", F.col("prediction").alias("quality"))
    new = new.withColumn("qualitycheck_time", F.lit(moment("2019-07-17T12:00:00")))
    others = {"source_file": "a test's own", "line": 0, "landed_file_id": 0, "is_correction": None}
    new = new.withColumns(
        {name: F.lit(value).cast(known.schema[name].dataType) for name, value in others.items()}
    )
    store.append(new, catalog.labels, Transaction("a test's own", transaction))
    aggregate_kpis(lakehouse, AVAILABLE_NOW)
    compare_with_alternatives(lakehouse)


def test_days_of_more_rows_than_a_training_may_take_are_not_compared_with_daily_retraining(
    plant, tmp_path
) -> None:
    lakehouse = plant.copy("drifted", tmp_path)
    training = lakehouse.model.training.model_copy(update={"max_rows": 100})
    small = replace(lakehouse, model=lakehouse.model.model_copy(update={"training": training}))
    compare_with_alternatives(small, [dt.date(2019, 7, 11)])
    rows = lakehouse.store.rows(
        lakehouse.catalog.counterfactual, partitions=on_days([dt.date(2019, 7, 11)])
    )
    found = {
        row["alternative"]: (row["n_right_otherwise"] is None, row["trainings"]) for row in rows
    }
    assert found == {"never": (False, 0), "daily": (True, 0)}


def test_late_labels_change_their_day_alone_and_a_replay_nothing(plant, tmp_path) -> None:
    lakehouse = plant.copy("newest", tmp_path)
    before = counterfactual(lakehouse)
    tell(lakehouse, 1, 5)
    some = counterfactual(lakehouse)
    tell(lakehouse, 2, 7)
    more = counterfactual(lakehouse)
    late = dt.date(2019, 7, 17)
    assert late not in before.index.get_level_values(0)
    assert set(some.loc[late, "n_labelled"]) == set(some.loc[late, "n_right"]) == {5}
    assert set(more.loc[late, "n_labelled"]) == {12}
    for each in (some, more):
        pd.testing.assert_frame_equal(each.drop(index=late, level=0), before)
    version = lakehouse.store.version(lakehouse.catalog.counterfactual)
    replay(lakehouse)
    assert lakehouse.store.version(lakehouse.catalog.counterfactual) == version
    pd.testing.assert_frame_equal(counterfactual(lakehouse), more)


def replay(lakehouse) -> None:
    """The newest micro-batch of aggregation once more, as after a crash before its commit."""
    folder = Path(lakehouse.store.checkpoint(QUERY)) / "commits"
    max(folder.glob("[0-9]*"), key=lambda path: int(path.name)).unlink()
    for crc in folder.glob(".*.crc"):
        crc.unlink()
    facts = lakehouse.store.version(lakehouse.catalog.window_facts)
    aggregate_kpis(lakehouse, AVAILABLE_NOW)
    compare_with_alternatives(lakehouse)
    assert lakehouse.store.version(lakehouse.catalog.window_facts) > facts


def test_a_run_that_was_cut_off_before_it_was_written_is_made_up_for_by_the_next(
    plant, tmp_path, monkeypatch
) -> None:
    lakehouse = plant.copy("newest", tmp_path)
    write = Store.replace_partitions

    def killed(store: Store, rows: Any, table: Any, why: str = "") -> None:
        if table == lakehouse.catalog.counterfactual:
            raise RuntimeError("killed")
        write(store, rows, table, why)

    monkeypatch.setattr(Store, "replace_partitions", killed)
    with pytest.raises(Exception, match="killed"):
        tell(lakehouse, 1, 5)
    monkeypatch.undo()
    compare_with_alternatives(lakehouse)
    assert set(counterfactual(lakehouse).loc[dt.date(2019, 7, 17), "n_labelled"]) == {5}


def test_a_commit_of_it_holds_the_days_that_have_changed_alone(newest) -> None:
    history = DeltaTable(newest.store.path(newest.catalog.counterfactual)).history()
    writes = [each for each in history if each["operation"] == "WRITE"]
    assert 1 <= len(writes) <= 3  # nights with a champion


def test_all_alternatives_are_compared_on_the_same_rows_where_the_first_model_was_trained_on_a_part_of_a_day(
    spark, tmp_path
) -> None:
    depot = parcel_depot(spark)  # of another shape: text, nulls, three classes
    shutil.copytree(depot.store.root, tmp_path / "depot")
    training = depot.model.training.model_copy(update={"first_after": 15})
    store = replace(depot.store, root=str(tmp_path / "depot"))
    lakehouse = replace(
        depot, model=depot.model.model_copy(update={"training": training}), store=store
    )
    days = [dt.date(2024, 3, 2), dt.date(2024, 3, 3)]
    compare_with_alternatives(lakehouse, days)
    found = counterfactual(lakehouse)
    never, daily = (found.xs(name, level="alternative").loc[days] for name in ("never", "daily"))
    assert (daily["trainings"] == 1).all()
    assert (daily["trained_rows"] >= 15).all()
    counted = ["n_labelled", "n_right"]
    pd.testing.assert_frame_equal(daily[counted], never[counted])
    partly = never.loc[dt.date(2024, 3, 2), "n_labelled"]
    assert 0 < partly < 24 * 6


def test_of_a_regression_it_says_what_the_first_model_would_have_got_right(spark) -> None:
    shop = repair_shop(spark).lakehouse
    never = counterfactual(shop).xs("never", level="alternative")
    assert (never["n_labelled"] > 0).all()
    assert never["n_right_otherwise"].notna().all()


def test_of_a_regression_it_says_what_a_daily_model_gets_right_once_there_are_labels_enough(
    spark,
) -> None:
    daily = counterfactual(repair_shop(spark).lakehouse).xs("daily", level="alternative")
    trained = daily[daily["trainings"] == 1]
    assert len(trained) == 1
    assert trained["trained_rows"].item() >= 100
    assert trained["n_labelled"].item() > 0
    assert (
        trained["n_right_otherwise"].item() == 0
    )  # it learned the old prices, and every one of the day is dearer
