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
from sklearn.tree import DecisionTreeClassifier

from lakehouse.calendar import days_between, midnight
from lakehouse.counterfactual.comparison import _predictions_until, compare_with_alternatives
from lakehouse.counterfactual.daily import known_at, retrained_daily
from lakehouse.labels.labelled_rows import labelled_between
from lakehouse.models import load
from lakehouse.retraining.policy.history import History
from lakehouse.retraining.policy.records import Rows
from lakehouse.retraining.promoted_models import LabelledFrame, PromotedModels
from lakehouse.storage.delta_log import days_written
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.partitions import on_days
from lakehouse.versions.ledger import PromotionLedger
from tests.support.rows import moment
from tests.support.written import (
    A_DAY,
    a_day_of_second,
    aggregate,
    copy_of,
    first_version,
    go_on_to_second,
    with_model,
)

DAY, HOUR = np.timedelta64(1, "D"), np.timedelta64(1, "h")
MIDNIGHT = np.datetime64("2024-03-10", "us")
FEATURES = ["x", "z"]
FIRST, LAST = dt.date(2024, 3, 1), dt.date(2024, 3, 7)
"""The days of the small model's predictions; of the last one no label has come."""
SECOND_PREDICTED = dt.date(2024, 3, 6)
"""A day of version 2's predictions: most of what a daily model knows is of the rule before."""


@pytest.fixture(scope="module")
def works(spark, tmp_path_factory) -> Lakehouse:
    """Version 2 has taken over after a change of the rule; compared after each night."""
    lakehouse = first_version(spark, tmp_path_factory.mktemp("otherwise") / "lake")
    compare_with_alternatives(lakehouse)
    go_on_to_second(lakehouse)
    compare_with_alternatives(lakehouse)
    a_day_of_second(lakehouse)
    compare_with_alternatives(lakehouse)
    return lakehouse


@pytest.fixture
def lakehouse(works: Lakehouse, tmp_path: Path) -> Lakehouse:
    """A copy to write to."""
    return copy_of(works, tmp_path / "lake")


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
    """Labelled predictions, whether their hour was trained on, what the first model predicts."""
    store, catalog = lakehouse.store, lakehouse.catalog
    labels = store.arrow(catalog.labels, columns=["id", "told", "y"]).to_pandas()
    rows = store.arrow(catalog.predictions).to_pandas().merge(labels, on="id").sort_values("id")
    rows["hour"] = rows["at"].dt.floor("h")
    rows["seen"] = False
    for version, span in PromotionLedger(lakehouse).trained_spans.items():
        rows["seen"] |= (rows["model_version"] == version) & rows["at"].between(*span)
    rows["seen"] = rows.groupby(["hour", "model_version"])["seen"].transform("any")
    version = lakehouse.registry.version("1")
    first = load(lakehouse.registry.model_file(version), version.sha256)
    return rows.assign(first=named(first.predict(rows[FEATURES])), day=rows["at"].dt.date)


def named(codes: np.ndarray) -> np.ndarray:
    return np.array(["broken", "ok"])[codes]


def daily_model(rows: pd.DataFrame, day: dt.date) -> DecisionTreeClassifier | None:
    """What somebody trains at the day's midnight who has never heard of this code."""
    known = rows[rows["told"] <= pd.Timestamp(day, tz="UTC")].sort_values("at")
    if len(known) < 100:
        return None
    tree = DecisionTreeClassifier(max_depth=3, random_state=0)
    return tree.fit(known[FEATURES], (known["y"] == "ok").astype(int))


def test_the_table_is_what_an_independent_computation_finds(works) -> None:
    rows, expected = labelled(works), {}
    for day, own in rows[~rows["seen"]].groupby("day"):
        model = daily_model(rows, day)
        predictions = own["first"] if model is None else named(model.predict(own[FEATURES]))
        right = (own["prediction"] == own["y"]).sum()
        expected[day, "never"] = (len(own), right, (own["first"] == own["y"]).sum(), 0)
        trainings = int(model is not None)
        expected[day, "daily"] = (len(own), right, (predictions == own["y"]).sum(), trainings)
    found = counterfactual(works)
    columns = ["n_labelled", "n_right", "n_right_otherwise", "trainings"]
    assert {
        key: tuple(row) for key, row in zip(found.index, found[columns].to_numpy(), strict=True)
    } == expected
    assert len(expected) == 2 * 5
    assert [row[3] for key, row in expected.items() if key[1] == "daily"] == [0, 1, 1, 1, 1]
    otherwise = found["n_right_otherwise"].unstack()
    assert (otherwise["never"] != otherwise["daily"]).any()
    of_second = found.loc[SECOND_PREDICTED]
    assert (of_second["n_right"] > of_second["n_right_otherwise"] + 15).all()


def test_an_empty_table_is_filled_from_the_facts_on_record(lakehouse) -> None:
    before = counterfactual(lakehouse)
    shutil.rmtree(lakehouse.store.path(lakehouse.catalog.counterfactual))
    lakehouse.store.create_missing()
    compare_with_alternatives(lakehouse)
    pd.testing.assert_frame_equal(without_clocks(counterfactual(lakehouse)), without_clocks(before))


def test_until_there_are_labels_enough_for_a_first_training_the_first_model_is_all_there_is(
    lakehouse,
) -> None:
    training = lakehouse.model.training.model_copy(update={"first_after": 400})
    later = with_model(lakehouse, training=training)
    compare_with_alternatives(later, days_between(FIRST, LAST))
    found = without_clocks(counterfactual(later))
    never, daily = (found.xs(name, level="alternative") for name in ("never", "daily"))
    waits = daily["trainings"] == 0
    pd.testing.assert_frame_equal(daily[waits], never[waits])
    assert [day.day for day in daily.index[waits]] == [2, 3, 4]
    # What is known at the midnight of the 5th: rows until a day before.
    assert daily.loc[dt.date(2024, 3, 5), "trained_rows"] == 3 * A_DAY + 1


def test_without_the_daily_alternative_the_first_model_alone_is_compared(lakehouse) -> None:
    settings = lakehouse.model.counterfactual.model_copy(update={"daily": False})
    alone = with_model(lakehouse, counterfactual=settings)
    compare_with_alternatives(alone, [SECOND_PREDICTED])
    assert list(counterfactual(alone).loc[SECOND_PREDICTED].index) == ["never"]


def test_only_days_whose_facts_were_written_since_are_looked_at(lakehouse) -> None:
    facts, store = lakehouse.catalog.window_facts, lakehouse.store
    path, version = store.path(facts), store.version(facts)
    assert days_written(path, version, version) == frozenset()
    label_some(lakehouse, range(6 * A_DAY, 6 * A_DAY + 5))
    newest = store.version(facts)
    assert days_written(path, version, newest) == frozenset([LAST])
    (Path(path) / "_delta_log" / f"{version + 1:020d}.json").unlink()  # as Delta does after a month
    assert days_written(path, version, newest) is None


def label_some(lakehouse, numbers: range) -> None:
    """Labels of rows of the last day come, as they were predicted, and reach the facts."""
    newest = moment("2024-03-08T12:00:00")
    predicted = lakehouse.store.rows(lakehouse.catalog.predictions, columns=["id", "prediction"])
    labels = [
        {"id": row["id"], "told": newest, "y": row["prediction"]}
        for row in predicted
        if row["id"] in numbers
    ]
    lakehouse.store.append_rows(labels, lakehouse.catalog.labels)
    aggregate(lakehouse, 6 * A_DAY, 7 * A_DAY - 1, newest)


def test_days_of_more_rows_than_a_training_may_take_are_not_compared_with_daily_retraining(
    lakehouse,
) -> None:
    training = lakehouse.model.training.model_copy(update={"max_rows": 100})
    small, day = with_model(lakehouse, training=training), dt.date(2024, 3, 5)
    compare_with_alternatives(small, [day])
    rows = lakehouse.store.rows(lakehouse.catalog.counterfactual, partitions=on_days([day]))
    found = {
        row["alternative"]: (row["n_right_otherwise"] is None, row["trainings"]) for row in rows
    }
    assert found == {"never": (False, 0), "daily": (True, 0)}


@pytest.fixture
def begins(monkeypatch) -> list[dt.datetime]:
    """From when on the comparison reads labelled predictions, read by read."""
    found: list[dt.datetime] = []

    def recorded(*given: Any) -> pd.DataFrame:
        found.append(given[3])
        return labelled_between(*given)

    monkeypatch.setattr("lakehouse.counterfactual.comparison.labelled_between", recorded)
    return found


def test_a_training_reads_no_further_back_than_the_rows_lie_that_it_may_take(
    lakehouse, begins
) -> None:
    most, day = A_DAY + 20, dt.date(2024, 3, 6)
    training = lakehouse.model.training.model_copy(update={"max_rows": most})
    compare_with_alternatives(with_model(lakehouse, training=training), [day])
    rows = labelled(lakehouse)
    known = rows[rows["told"] <= pd.Timestamp(day, tz="UTC")].sort_values("at").tail(most)
    tree = DecisionTreeClassifier(max_depth=3, random_state=0)
    tree.fit(known[FEATURES], (known["y"] == "ok").astype(int))
    own = rows[(rows["day"] == day) & ~rows["seen"]]
    right = (named(tree.predict(own[FEATURES])) == own["y"]).sum()
    daily = counterfactual(lakehouse).loc[(day, "daily")]
    assert (daily["trained_rows"], daily["n_right_otherwise"]) == (most, right)
    horizon = lakehouse.model.labels.horizon
    assert midnight(day) - horizon - dt.timedelta(days=3) < min(begins) <= known["at"].min()


def test_a_training_takes_the_same_rows_however_many_a_day_is_guessed_to_have(
    lakehouse, begins
) -> None:
    model, models = lakehouse.model, PromotedModels(PromotionLedger(lakehouse))
    start, window = np.datetime64("2024-03-06", "us"), np.timedelta64(model.counterfactual.window)
    reads, taken = {}, {}
    for guess in (1, 1_000_000):
        begins.clear()
        given = (models, moment("2024-03-09T00:00:00"), start.item().date(), guess)
        predictions = _predictions_until(*given)
        rows = LabelledFrame(models, predictions, History()).rows
        known = known_at(rows, start, window, model.training.first_after, model.training.max_rows)
        reads[guess], taken[guess] = len(begins), predictions.loc[known, "id"].tolist()
    assert reads[1] < reads[1_000_000]
    assert taken[1] == taken[1_000_000]
    assert len(taken[1]) > A_DAY


def test_late_labels_change_their_day_alone_and_a_replay_nothing(lakehouse) -> None:
    before, start = counterfactual(lakehouse), 6 * A_DAY
    label_some(lakehouse, range(start, start + 5))
    compare_with_alternatives(lakehouse)
    some = counterfactual(lakehouse)
    label_some(lakehouse, range(start + 5, start + 12))
    compare_with_alternatives(lakehouse)
    more = counterfactual(lakehouse)
    assert LAST not in before.index.get_level_values(0)
    assert set(some.loc[LAST, "n_labelled"]) == set(some.loc[LAST, "n_right"]) == {5}
    assert set(more.loc[LAST, "n_labelled"]) == {12}
    for each in (some, more):
        pd.testing.assert_frame_equal(each.drop(index=LAST, level=0), before)
    table, facts = lakehouse.catalog.counterfactual, lakehouse.catalog.window_facts
    version, of_facts = lakehouse.store.version(table), lakehouse.store.version(facts)
    label_some(lakehouse, range(0))  # the same facts once more, as of a batch that is replayed
    compare_with_alternatives(lakehouse)
    assert lakehouse.store.version(facts) > of_facts
    assert lakehouse.store.version(table) == version


def test_a_run_that_was_cut_off_before_it_was_written_is_made_up_for_by_the_next(
    lakehouse,
) -> None:
    """Facts were written twice since the table was."""
    start = 6 * A_DAY
    label_some(lakehouse, range(start, start + 5))
    label_some(lakehouse, range(start + 5, start + 12))
    compare_with_alternatives(lakehouse)
    assert set(counterfactual(lakehouse).loc[LAST, "n_labelled"]) == {12}


def test_a_commit_of_it_holds_the_days_that_have_changed_alone(works) -> None:
    """The first night has no labelled row that was not trained on, so it wrote nothing."""
    path = works.store.path(works.catalog.counterfactual)
    history = DeltaTable(path).history()
    writes = sorted(each["version"] for each in history if each["operation"] == "WRITE")
    days = [sorted(day.day for day in days_written(path, each - 1, each)) for each in writes]
    assert days == [[2, 3, 4], [5, 6]]


def test_all_alternatives_are_compared_on_the_same_rows_where_the_first_model_was_trained_on_a_part_of_a_day(
    depot, tmp_path
) -> None:
    # Of another shape: text, nulls, three classes.
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


def test_of_a_regression_it_says_what_the_first_model_would_have_got_right(shop) -> None:
    never = counterfactual(shop.lakehouse).xs("never", level="alternative")
    assert (never["n_labelled"] > 0).all()
    assert never["n_right_otherwise"].notna().all()


def test_of_a_regression_it_says_what_a_daily_model_gets_right_once_there_are_labels_enough(
    shop,
) -> None:
    daily = counterfactual(shop.lakehouse).xs("daily", level="alternative")
    trained = daily[daily["trainings"] == 1]
    assert len(trained) == 1
    assert trained["trained_rows"].item() >= 100
    assert trained["n_labelled"].item() > 0
    assert (
        trained["n_right_otherwise"].item() == 0
    )  # it learned the old prices, and every one of the day is dearer
