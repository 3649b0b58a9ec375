"""A small batch's facts and a training's rows are the same by the driver as by Spark."""

import datetime as dt
from dataclasses import replace

import pandas as pd
import pytest

from lakehouse.instants import instants
from lakehouse.models import features_of
from lakehouse.monitoring import small_batches
from lakehouse.monitoring.affected import AffectedWindows
from lakehouse.monitoring.custom.definitions import CustomMetrics
from lakehouse.monitoring.recorded_configuration import current_monitor
from lakehouse.monitoring.silver_facts import SilverFacts
from lakehouse.monitoring.small_batches import facts_here
from lakehouse.retraining.training_rows import _joined_by_spark, _joined_here
from lakehouse.versions.ledger import PromotionLedger
from tests.support.rows import moment
from tests.support.written import a_day_of_second, second_version


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


def test_the_facts_are_the_same_by_the_driver_as_by_spark(lakehouse):
    ledger, facts = PromotionLedger(lakehouse), SilverFacts(lakehouse, CustomMetrics())
    monitor = current_monitor(lakehouse, ledger.baseline(ledger.champion))
    times = lakehouse.store.arrow(
        lakehouse.catalog.predictions, columns=[lakehouse.model.event_time]
    )
    days = sorted({each.item().date() for each in instants(times[0]).astype("datetime64[s]")})[-3:]
    touched = AffectedWindows(days=frozenset(days))
    by_spark = facts.by_spark(touched, facts.profiling(monitor, ledger), ledger)
    here = facts.of(touched, monitor, ledger)
    key = lambda facts: (facts.start, facts.segment)  # noqa: E731
    assert [each.to_row() for each in sorted(here, key=key)] == [
        each.to_row() for each in sorted(by_spark, key=key)
    ]
    assert len(here) > 20


def test_the_rows_of_a_training_are_the_same_by_the_driver_as_by_spark(lakehouse):
    ledger, features = PromotionLedger(lakehouse), features_of(lakehouse.model)
    versions = lakehouse.store.versions(lakehouse.catalog.readings, lakehouse.catalog.labels)
    newest = lakehouse.store.arrow(lakehouse.catalog.readings, columns=[lakehouse.model.event_time])
    since = max(newest[0].to_pylist()) - dt.timedelta(days=1)
    for start in (None, since):
        given = (ledger, versions, features, start)
        pd.testing.assert_frame_equal(_joined_here(*given), _joined_by_spark(*given))


def test_a_batch_of_many_values_is_sparks(works, monkeypatch):
    ledger, model = PromotionLedger(works), works.model
    monitor = current_monitor(works, ledger.baseline(ledger.champion))
    profiling = SilverFacts(works, CustomMetrics()).profiling(monitor, ledger)
    rows = works.store.arrow(works.catalog.predictions, columns=[model.event_time])[0]
    span = (min(rows.to_pylist()), max(rows.to_pylist()))
    asked = (ledger, span, lambda _: True, profiling, None)
    values = len(rows) * len(model.predictions.features)
    for most, is_here in ((values, True), (values - 1, False)):
        monkeypatch.setattr(small_batches, "MOST_VALUES", most)
        assert (facts_here(*asked) is not None) == is_here


def test_a_batch_with_slices_is_sparks(depot):
    lakehouse = depot
    ledger, facts = PromotionLedger(lakehouse), SilverFacts(lakehouse, CustomMetrics())
    monitor = current_monitor(lakehouse, ledger.baseline(ledger.champion))
    touched = AffectedWindows(days=frozenset([moment("2024-03-02T00:00:00").date()]))
    found = facts.of(touched, monitor, ledger)
    assert {"lane", "grams > 50"} <= {each.segment.slice_key for each in found}
