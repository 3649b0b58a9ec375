"""What profile_metrics expects of windows without labels is what follows from rows and record by
hand.
"""

from collections import Counter

import numpy as np
import pyarrow.compute as pc
import pytest
from scipy import stats

from lakehouse.models.expected_error.spline_logistic import N_BINS
from lakehouse.monitoring.measured import TABLE_COLUMN
from lakehouse.retraining.promoted_models import PromotedModels
from lakehouse.versions.ledger import PromotionLedger
from tests.support.rows import policy_history
from tests.support.small_model import at
from tests.support.written import A_DAY, CHANGED, a_day_of_second, second_version

TYPICAL = np.array([0.0015, 0.0065, 0.02, 0.065, 0.175, 0.375, 0.75])


def with_the_policy_of_the_defaults(settings):
    """Nothing is decided here."""
    settings["policy"] = {}


@pytest.fixture(scope="module")
def two_versions(spark, tmp_path_factory):
    """Version 1 predicted the first days, version 2 the ones after the change; labels come late."""
    root = tmp_path_factory.mktemp("two") / "lakehouse"
    lakehouse = second_version(spark, root, with_the_policy_of_the_defaults)
    a_day_of_second(lakehouse)
    return lakehouse


def metric_rows(lakehouse) -> list[dict]:
    """The rows of whole tables of a day."""
    rows = lakehouse.store.rows(
        lakehouse.catalog.profile_metrics,
        (pc.field("column_name") == TABLE_COLUMN) & (pc.field("granularity") == "1 day"),
    )
    return [row for row in rows if row["slice_key"] is None]


def rows_by_bin(lakehouse) -> dict[tuple, Counter]:
    """Predicted rows by day, version and bin, from silver."""
    catalog, history = lakehouse.catalog, policy_history(lakehouse)
    models, time = PromotedModels(PromotionLedger(lakehouse)), lakehouse.model.event_time
    rows = lakehouse.store.read(catalog.predictions).toPandas()
    found: dict[tuple, Counter] = {}
    for version, record in history.records.items():
        own = rows[rows["model_version"] == str(version)].reset_index(drop=True)
        if not len(own):
            continue
        predicted = np.asarray(models.problem.targets(own["prediction"]))
        bins = models.bins(version, record, own, predicted)
        for day, place in zip(own[time].dt.date, bins, strict=True):
            found.setdefault((day, str(version)), Counter())[int(place)] += 1
    return found


def wrong_among(lakehouse, version: str, rows: Counter) -> tuple[float, float]:
    """Mean and variance of the wrong rows by SciPy's beta-binomial, bin by bin."""
    errors = policy_history(lakehouse).records[int(version)].version.errors
    mean = variance = 0.0
    for place, n in rows.items():
        judged, wrong = errors.judged[place], errors.wrong[place]
        rate = (wrong + 5 * TYPICAL[place % N_BINS]) / (judged + 5)
        weight = judged / 2 + 5
        of_bin = stats.betabinom(n, rate * weight, (1 - rate) * weight)
        mean, variance = mean + of_bin.mean(), variance + of_bin.var()
    return mean, variance


def expected(parts: list[tuple[float, float]], n: int) -> tuple[float, float, float]:
    """Accuracy with its interval, from the versions' means and variances."""
    mean, variance = np.sum(parts, axis=0) / [n, n**2]
    weight = mean * (1 - mean) / variance - 1
    bounds = stats.beta(mean * weight, (1 - mean) * weight).ppf([0.05, 0.95])
    low, high = np.round(n * bounds) / n
    return 1 - mean, 1 - high, 1 - low


def test_a_window_without_labels_tells_the_accuracy_that_its_version_expects(two_versions):
    counts, told = rows_by_bin(two_versions), []
    for row in metric_rows(two_versions):
        if row["window"] is None:
            continue
        day, version = row["window_date"], row["model_version"]
        own = {key: rows for key, rows in counts.items() if key[0] == day}
        if version != "*":
            own = {(day, version): own[day, version]}
        parts = [wrong_among(two_versions, name, rows) for (_, name), rows in own.items()]
        accuracy, low, high = expected(parts, row["count"])
        assert row["expected_accuracy"] == pytest.approx(accuracy)
        assert row["expected_accuracy_low"] == pytest.approx(low)
        assert row["expected_accuracy_high"] == pytest.approx(high)
        assert row["expected_absolute_error"] is None
        told.append((version, row["n_labelled"], len(own)))
    assert {version for version, _, _ in told} == {"1", "2", "*"}
    without_labels = [each for each in told if each[1] == 0]
    assert without_labels
    assert len(told) >= 8


def test_a_changed_rule_is_not_expected_and_the_labels_are_below_the_interval(two_versions):
    rows = [row for row in metric_rows(two_versions) if row["model_version"] == "1"]
    by_day = {row["window_date"]: row for row in rows if row["window"] is not None}
    changed, before = by_day[at(CHANGED).date()], by_day[at(CHANGED - A_DAY).date()]
    assert changed["accuracy_score"] < changed["expected_accuracy_low"] - 0.1
    expectations = [row["expected_accuracy"] for row in (changed, before)]
    assert expectations[0] == pytest.approx(expectations[1], abs=0.02)
    assert before["expected_accuracy_low"] <= before["accuracy_score"]


def test_numbers_expect_a_share_within_the_tolerance_and_a_mean_absolute_error(shop):
    shop = shop.lakehouse
    counts = rows_by_bin(shop)
    known = PromotionLedger(shop).absolute_errors("1")
    errors = policy_history(shop).records[1].version.errors
    assert known.judged.tolist() == errors.judged.tolist()
    by_place = {row["window_date"]: row for row in metric_rows(shop) if row["model_id"] == "1"}
    days = [day for day, version in counts if version == "1"]
    assert len(days) >= 2
    for day in days:
        row, rows = by_place[day], counts[day, "1"]
        accuracy, low, high = expected([wrong_among(shop, "1", rows)], row["count"])
        assert row["expected_accuracy"] == pytest.approx(accuracy)
        assert row["expected_accuracy_low"] == pytest.approx(low)
        assert row["expected_accuracy_high"] == pytest.approx(high)
        scales = 1 / stats.norm.isf(TYPICAL / 2)
        prior = scales * known.total.sum() / (known.judged * scales).sum()
        means = (known.total + 5 * prior) / (known.judged + 5)
        total = sum(n * means[place] for place, n in rows.items())
        assert row["expected_absolute_error"] == pytest.approx(total / row["count"])
        assert row["expected_absolute_error_low"] < row["expected_absolute_error"]
        assert row["expected_absolute_error_high"] > row["expected_absolute_error"]


def test_baselines_and_columns_expect_nothing(two_versions):
    rows = two_versions.store.rows(two_versions.catalog.profile_metrics)
    others = [row for row in rows if row["window"] is None or row["column_name"] != TABLE_COLUMN]
    assert others
    assert all(row["expected_accuracy"] is None for row in others)
