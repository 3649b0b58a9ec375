"""Facts of windows are the same by the driver, by tasks and by Spark; so are a training's rows."""

import datetime as dt
from dataclasses import replace
from itertools import chain

import pandas as pd
import pytest
from pyspark import SparkContext

from lakehouse.instants import instants
from lakehouse.models import features_of
from lakehouse.monitoring import silver_facts
from lakehouse.monitoring.affected import AffectedWindows
from lakehouse.monitoring.custom.definitions import CustomMetrics
from lakehouse.monitoring.recorded_configuration import current_monitor
from lakehouse.monitoring.silver_facts import SilverFacts
from lakehouse.retraining.training_rows import _joined_by_spark, _joined_here
from lakehouse.versions.ledger import PromotionLedger
from tests.support.rows import moment
from tests.support.written import a_day_of_second, second_version

HOUR = dt.timedelta(hours=1)


@pytest.fixture(scope="module")
def works(spark, tmp_path_factory):
    """Two versions have predicted, and not all labels have come."""
    lakehouse = second_version(spark, tmp_path_factory.mktemp("small") / "lake")
    a_day_of_second(lakehouse)
    return lakehouse


def plain_depot(lakehouse):
    """Without slices, custom metrics and further columns, which are Spark's."""
    plain = {"slices": (), "custom": (), "columns": ()}
    metrics = lakehouse.model.metrics.model_copy(update=plain)
    return replace(lakehouse, model=lakehouse.model.model_copy(update={"metrics": metrics}))


def plain_shop(lakehouse):
    metrics = lakehouse.model.metrics.model_copy(update={"columns": ()})
    return replace(lakehouse, model=lakehouse.model.model_copy(update={"metrics": metrics}))


@pytest.fixture(params=["works", "depot", "shop"])
def lakehouse(request, depot, shop):
    if request.param == "works":
        return request.getfixturevalue("works")
    depot = request.param == "depot"
    found = request.getfixturevalue(request.param)
    return plain_depot(found) if depot else plain_shop(found.lakehouse)


def in_order(facts):
    ordered = sorted(facts, key=lambda each: (each.start, each.segment))
    return [each.to_row() for each in ordered]


def affected_in(lakehouse, every):
    """The last three days that have predictions, whole, or base windows that lie hours apart."""
    times = lakehouse.store.arrow(
        lakehouse.catalog.predictions, columns=[lakehouse.model.event_time]
    )
    known = {each.item().date() for each in instants(times[0]).astype("datetime64[s]")}
    whole = AffectedWindows(days=frozenset(sorted(known)[-3:]))
    starts = sorted(whole.starts(lakehouse.model.metrics.base_window))
    return whole if every == 1 else AffectedWindows(frozenset(starts[::every]))


def by_both(lakehouse, every=1):
    """The facts by the way that the module's limits choose, then by Spark."""
    ledger, facts = PromotionLedger(lakehouse), SilverFacts(lakehouse, CustomMetrics())
    monitor = current_monitor(lakehouse, ledger.baseline(ledger.champion))
    affected = affected_in(lakehouse, every)
    by_spark = facts.by_spark(affected, facts.profiling(monitor, ledger), ledger)
    return in_order(facts.of(affected, monitor, ledger)), in_order(by_spark)


def test_the_facts_are_the_same_by_the_driver_as_by_spark(lakehouse):
    here, by_spark = by_both(lakehouse)
    assert here == by_spark
    assert len(here) > 20


@pytest.mark.parametrize(("every", "least"), [(1, 4), (7, 4), (30, 3)])
def test_the_facts_are_the_same_by_tasks_as_by_spark(lakehouse, monkeypatch, every, least):
    values = SilverFacts(lakehouse, CustomMetrics())._values(affected_in(lakehouse, every))
    monkeypatch.setattr(silver_facts, "MOST_HERE", values - 1)
    monkeypatch.setattr(silver_facts, "VALUES_A_TASK", 30)
    asked = []
    parallelize = SparkContext.parallelize

    def recorded(context, items, n):
        asked.append(len(items))
        return parallelize(context, items, n)

    monkeypatch.setattr(SparkContext, "parallelize", recorded)
    by_tasks, by_spark = by_both(lakehouse, every)
    assert by_tasks == by_spark
    assert len(asked) == 1
    assert asked[0] >= least


def test_the_rows_of_a_training_are_the_same_by_the_driver_as_by_spark(lakehouse):
    ledger, features = PromotionLedger(lakehouse), features_of(lakehouse.model)
    versions = lakehouse.store.versions(lakehouse.catalog.readings, lakehouse.catalog.labels)
    newest = lakehouse.store.arrow(lakehouse.catalog.readings, columns=[lakehouse.model.event_time])
    since = max(newest[0].to_pylist()) - dt.timedelta(days=1)
    for start in (None, since):
        given = (ledger, versions, features, start)
        pd.testing.assert_frame_equal(_joined_here(*given), _joined_by_spark(*given))


@pytest.mark.parametrize(
    ("here", "tasks", "way"), [(1, 9, "here"), (0, 9, "tasks"), (0, 0, "spark")]
)
def test_few_values_are_for_the_driver_more_for_tasks_and_very_many_for_spark(
    works, monkeypatch, here, tasks, way
):
    ledger, model = PromotionLedger(works), works.model
    rows = works.store.arrow(works.catalog.predictions, columns=[model.event_time])[0].to_pylist()
    windows = frozenset(each.replace(minute=0, second=0, microsecond=0) for each in rows)
    values = len(rows) * len(model.predictions.features)
    monkeypatch.setattr(silver_facts, "MOST_HERE", values - 1 + here)
    monkeypatch.setattr(silver_facts, "VALUES_A_TASK", values // 9 + 1)
    monkeypatch.setattr(silver_facts, "MOST_TASKS", tasks)
    ways = {"by_spark": "spark", "_by_tasks": "tasks"}
    taken = []
    for name, told in ways.items():
        monkeypatch.setattr(SilverFacts, name, lambda *_, told=told: taken.append(told))
    facts = SilverFacts(works, CustomMetrics())
    monitor = current_monitor(works, ledger.baseline(ledger.champion))
    found = facts.of(AffectedWindows(windows), monitor, ledger)
    assert (taken or ["here"]) == [way]
    assert (found is None) == bool(taken)


@pytest.mark.parametrize("parts", [1, 4, 7, 100])
def test_stretches_hold_each_window_once_in_order(parts):
    start = moment("2024-03-02T00:00:00")
    windows = frozenset(start + dt.timedelta(hours=hour) for hour in (-20, -2, 5))
    stretches = AffectedWindows(windows, frozenset([start.date()])).stretches(HOUR, parts)
    found = [sorted(part.windows) for part in stretches]
    assert list(chain.from_iterable(found)) == sorted(
        {*windows, *(start + n * HOUR for n in range(24))}
    )
    assert len(found) <= parts
    assert len({len(part) for part in found[:-1]}) <= 1


def test_no_stretch_reaches_over_a_gap_of_more_than_a_day():
    start = moment("2024-03-02T00:00:00")
    windows = [start + n * HOUR for n in (0, 1, 25, 50, 51)]
    found = AffectedWindows(frozenset(windows)).stretches(HOUR, 1)
    assert [sorted(part.windows) for part in found] == [windows[:3], windows[3:]]
    assert found[0].span == (windows[0], windows[2] + HOUR)


def test_few_windows_of_very_many_values_are_for_spark(works, monkeypatch):
    ledger, facts = PromotionLedger(works), SilverFacts(works, CustomMetrics())
    monitor = current_monitor(works, ledger.baseline(ledger.champion))
    affected = affected_in(works, 1)
    values = facts._values(affected)
    n_windows = len(affected.starts(works.model.metrics.base_window))
    taken = []
    monkeypatch.setattr(SilverFacts, "by_spark", lambda *_: taken.append("spark"))
    monkeypatch.setattr(SilverFacts, "_by_tasks", lambda *_: taken.append("tasks"))
    monkeypatch.setattr(silver_facts, "VALUES_A_TASK", 1)
    monkeypatch.setattr(silver_facts, "MOST_TASKS", n_windows)
    for most in ((values - 1) // n_windows, values // n_windows + 1):
        monkeypatch.setattr(silver_facts, "MOST_HERE", most)
        facts.of(affected, monitor, ledger)
    assert taken == ["spark", "tasks"]


def test_a_batch_with_slices_is_sparks(depot):
    lakehouse = depot
    ledger, facts = PromotionLedger(lakehouse), SilverFacts(lakehouse, CustomMetrics())
    monitor = current_monitor(lakehouse, ledger.baseline(ledger.champion))
    touched = AffectedWindows(days=frozenset([moment("2024-03-02T00:00:00").date()]))
    found = facts.of(touched, monitor, ledger)
    assert {"lane", "grams > 50"} <= {each.segment.slice_key for each in found}
