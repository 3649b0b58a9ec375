"""What is stated of a column: by how much it has shifted, and only where that is not chance."""

import datetime as dt
from typing import Any

import numpy as np
import pytest
from scipy.stats import fisher_exact

from lakehouse.retraining.policy.detection.diagnose import ColumnDrift
from lakehouse.retraining.policy.detection.shifts import column_drifts
from tests.benchmarks import false_alarms
from tests.support.rows import moment

START = moment("2024-03-01T00:00:00")


def numbers(
    count: int, nulls: int = 0, least: float = 0.0, greatest: float = 1.0
) -> dict[str, Any]:
    quantiles = np.linspace(least, greatest, 1000).tolist()
    return {
        "count": count,
        "num_nulls": nulls,
        "min": least,
        "max": greatest,
        "quantiles": quantiles,
        "frequent_items": None,
    }


def kinds(**counts: int) -> dict[str, Any]:
    items = [{"item": item, "count": count} for item, count in counts.items()]
    return {
        "count": sum(counts.values()),
        "num_nulls": 0,
        "min": None,
        "max": None,
        "quantiles": None,
        "frequent_items": items,
    }


def drift(
    trained: dict[str, Any], *days: dict[str, Any], others: int = 0, pvalue: float = 0.5
) -> ColumnDrift:
    """The column's drift on the last of the days, beside so many columns of which nothing can be
    said.
    """
    windows = [
        {"window": {"start": START + dt.timedelta(days=place)}} for place in range(len(days))
    ]
    plain = {"population_stability_index": 0.01, "tv_distance": None, "adjusted_pvalue": pvalue}
    names = ["x", *(f"other{place}" for place in range(others))]
    drifts = [plain | window | {"column_name": name} for window in windows for name in names]
    seen = [day | window | {"column_name": "x"} for day, window in zip(days, windows, strict=True)]
    return column_drifts(drifts, [trained | {"column_name": "x"}], seen)["x"]


def test_more_missing_values_are_found_by_fishers_exact_test() -> None:
    found = drift(numbers(800, nulls=200), numbers(120, nulls=60))
    assert found.nulls == pytest.approx(60 / 180 - 0.2)
    assert found.nulls_pvalue == pytest.approx(
        fisher_exact([[60, 120], [200, 800]], "greater").pvalue
    )
    assert found.suspect


@pytest.mark.parametrize("missing", [58, 70])
def test_a_share_of_missing_values_that_chance_explains_is_not_stated(missing: int) -> None:
    """30 % of 192 rows are missing as always: by a point more, 39 of 100 such days would be
    stated.
    """
    found = drift(numbers(805, nulls=345), numbers(192 - missing, nulls=missing))
    assert found.nulls > 0.001
    assert not found.suspect


def test_many_rows_make_a_small_share_certain_and_not_large() -> None:
    found = drift(numbers(10**6), numbers(10**6, nulls=9_000))
    assert found.nulls_pvalue < 1e-9
    assert not found.suspect  # nine in a thousand
    assert drift(numbers(10**6), numbers(10**6, nulls=11_000)).suspect


def test_the_more_columns_are_looked_at_the_surer_one_must_be() -> None:
    trained, day = numbers(805, nulls=345), numbers(108, nulls=84)
    rows = {"column_name": "other", "window": {"start": START}}
    assert drift(trained, day).suspect
    plain = {
        "population_stability_index": 0.0,
        "tv_distance": None,
        "adjusted_pvalue": 0.5,
        "window": rows["window"],
    }
    names = [f"x{place}" for place in range(40)]
    seen = [
        (day if name == "x0" else numbers(134, nulls=58)) | {"column_name": name} | plain
        for name in names
    ]
    found = column_drifts(
        [plain | {"column_name": name} for name in names],
        [trained | {"column_name": name} for name in names],
        seen,
    )
    assert found["x0"].nulls_pvalue > drift(trained, day).nulls_pvalue
    assert not any(column.suspect for column in found.values())


@pytest.mark.parametrize(
    ("trained_rows", "outside", "stated"),
    [(60, 6, False), (60, 40, True), (1150, 3, False), (1150, 8, True)],
)
def test_values_outside_the_range_of_few_rows_are_to_be_expected(
    trained_rows: int, outside: int, stated: bool
) -> None:
    """Of 192 new values, six lie outside the range of 60 on average, and one in three days one
    outside that of 1150.
    """
    found = drift(numbers(trained_rows), numbers(192, greatest=1 / (1 - outside / 192)))
    assert found.outside == pytest.approx(outside / 192, abs=0.002)
    assert found.beyond == stated


def test_how_many_values_lie_outside_is_the_distribution_that_simulation_shows() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.random((4000, 40)), rng.random((4000, 100))
    least, greatest = drawn[0].min(axis=1), drawn[0].max(axis=1)
    outside = ((drawn[1] < least[:, None]) | (drawn[1] > greatest[:, None])).sum(axis=1)
    for few in (5, 10, 15):
        found = drift(numbers(40), numbers(100, greatest=1 / (1 - few / 100)))
        assert found.outside_pvalue == pytest.approx((outside >= few).mean(), abs=0.03)


def test_new_kinds_are_to_be_expected_where_many_kinds_were_seen_once() -> None:
    common = kinds(a=500, b=500)
    assert drift(common, kinds(a=90, b=90, c=12)).beyond
    rare = kinds(a=900, **{f"rare{place}": 1 for place in range(60)})
    assert not drift(rare, kinds(a=180, c=12)).beyond
    assert drift(rare, kinds(a=100, c=92)).beyond


def test_a_stretch_began_with_its_first_window() -> None:
    trained, usual, faulty = numbers(1000), numbers(190, nulls=2), numbers(100, nulls=92)
    assert drift(trained, faulty, usual, faulty, faulty).since == np.datetime64(
        "2024-03-03T00:00", "us"
    )
    assert drift(trained, faulty, usual).since is None


def test_what_has_no_figures_is_not_stated() -> None:
    assert drift(numbers(0), numbers(0)) == ColumnDrift("x", 0.01, 0.5, 0.0, 1.0, 0.0, 1.0, None)
    none = column_drifts(
        [{"column_name": "x", "adjusted_pvalue": None, "window": {"start": START}}], [], []
    )
    assert none == {"x": ColumnDrift("x", 0.0, 1.0)}


@pytest.mark.slow
@pytest.mark.parametrize("stream", ["30 % missing", "young model", "rare kinds"])
def test_days_without_a_change_are_seldom_stated(stream: str) -> None:
    """The benchmark publishes more; here so few streams that it takes a second."""
    rows, a_day, columns = false_alarms.STREAMS[stream]
    days = sum(
        false_alarms.statements(np.random.default_rng(seed), rows, a_day, columns)
        for seed in range(100, 104)
    )
    assert np.all(days <= 3)  # of 120
