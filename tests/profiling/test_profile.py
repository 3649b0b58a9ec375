import json
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from lakehouse.profiling.bins import bin_counts, quantile_edges
from lakehouse.profiling.columns import MAX_ITEMS, text_of
from lakehouse.profiling.profile import ColumnProfile, ColumnSpec, statistics_of

TEMP = ColumnSpec("temp", "double", "numeric")
QUALITY = ColumnSpec("quality", "integer", "categorical")
LINE = ColumnSpec("line", "string", "categorical")


def _columns() -> dict[str, tuple[pd.Series, ColumnSpec]]:
    """Columns of many shapes, each of at most as many values as the sketches keep whole."""
    rng = np.random.default_rng(7)
    nullable = pd.array(rng.normal(350, 6, 600), dtype="Float64")
    nullable[::7] = pd.NA
    holes = pd.Series(rng.integers(0, 4, 500), dtype="Int64").mask(rng.uniform(size=500) < 0.2)
    words = pd.Series(rng.choice(["a", "bb", "ccc", "", "größe", None], 700))
    days = pd.Series(
        pd.to_datetime("2019-07-01") + pd.to_timedelta(rng.integers(0, 10**9, 300), unit="ms")
    )
    return {
        "normal": (pd.Series(rng.normal(350, 6, 1500)), TEMP),
        "large offset": (pd.Series(1e9 + rng.normal(0, 1e-3, 1000)), TEMP),
        "heavy tail": (pd.Series(rng.standard_cauchy(1001)), TEMP),
        "with NaN and infinities": (
            pd.Series([1.0, np.nan, np.inf, 0.0, -np.inf, 2.5, np.nan]),
            TEMP,
        ),
        "with nulls": (pd.Series(nullable), TEMP),
        "constant": (pd.Series(np.full(40, 0.1)), TEMP),
        "one row": (pd.Series([3.5]), TEMP),
        "two rows": (pd.Series([3.0, 4.0]), TEMP),
        "only NaN": (pd.Series([np.nan, np.nan]), TEMP),
        "only nulls": (pd.Series([None, None], dtype=object), TEMP),
        "no rows": (pd.Series([], dtype=object), TEMP),
        "no rows of text": (pd.Series([], dtype=object), LINE),
        "longs": (
            pd.Series(rng.integers(-(10**6), 10**6, 900)),
            ColumnSpec("n", "long", "numeric"),
        ),
        "labels with nulls": (holes, QUALITY),
        "booleans": (
            pd.Series(rng.uniform(size=333) < 0.3),
            ColumnSpec("ok", "boolean", "categorical"),
        ),
        "text": (words, LINE),
        "timestamps": (days, ColumnSpec("at", "timestamp", "numeric")),
    }


COLUMNS = _columns()
each_column = pytest.mark.parametrize("name", COLUMNS)


def _numbers(values: pd.Series, spec: ColumnSpec) -> np.ndarray:
    present = (
        values[values.map(lambda value: value is not None and value is not pd.NA)]
        if len(values)
        else values
    )
    if spec.data_type == "timestamp":
        return (present - pd.Timestamp(0)).dt.total_seconds().to_numpy()
    return present.to_numpy(dtype=float)


def _close(actual: float | None, expected: float | None, rel: float = 1e-9, abs: float = 0) -> bool:
    return (
        actual is None if expected is None else actual == pytest.approx(expected, rel=rel, abs=abs)
    )


@each_column
def test_counts_and_shares_equal_those_of_the_raw_rows(name: str):
    values, spec = COLUMNS[name]
    statistics = statistics_of(ColumnProfile.of(values, spec))
    nulls = sum(value is None or value is pd.NA for value in values)
    kept = [value for value in values if not (value is None or value is pd.NA)]
    distinct = len(set(pd.Series(kept, dtype=object).map(str))) if kept else 0
    assert (statistics["count"], statistics["num_nulls"]) == (len(kept), nulls)
    assert statistics["distinct_count"] == distinct
    assert statistics["percent_null"] == (
        pytest.approx(100 * nulls / len(values)) if len(values) else None
    )
    assert statistics["percent_distinct"] == (
        pytest.approx(100 * distinct / len(values)) if len(values) else None
    )


@each_column
def test_numbers_equal_numpys_on_the_finite_raw_values(name: str):
    values, spec = COLUMNS[name]
    statistics = statistics_of(ColumnProfile.of(values, spec))
    finite = np.array([]) if spec.is_text else _numbers(values, spec)
    finite = finite[np.isfinite(finite)]
    has = len(finite) > 0
    assert _close(statistics["avg"], finite.mean() if has else None)
    assert _close(statistics["median"], np.median(finite) if has else None)
    assert _close(statistics["min"], finite.min() if has else None)
    assert _close(statistics["max"], finite.max() if has else None)
    exact = finite - finite[0] if has else finite
    stddev = statistics["stddev"]
    assert (
        stddev is None
        if len(finite) < 2
        else stddev == pytest.approx(np.std(exact, ddof=1), rel=1e-9, abs=1e-15)
    )


@each_column
def test_a_thousand_quantiles_step_as_numpys_and_the_middle_one_is_the_median(name: str):
    values, spec = COLUMNS[name]
    statistics = statistics_of(ColumnProfile.of(values, spec))
    finite = np.array([]) if spec.is_text else _numbers(values, spec)
    finite = np.sort(finite[np.isfinite(finite)])
    if not len(finite):
        assert statistics["quantiles"] is None
        return
    last_under = np.maximum(-(-np.arange(1000) * len(finite) // 1000) - 1, 0)
    first_above = np.arange(1000) * len(finite) // 1000
    assert statistics["quantiles"] == pytest.approx(
        (finite[last_under] + finite[first_above]) / 2, rel=1e-12
    )
    assert statistics["quantiles"][500] == statistics["median"]


def test_zeros_and_nan_are_counted_apart_from_nulls():
    cells = pa.array([0.0, -0.0, float("nan"), None, 5.0])
    statistics = statistics_of(ColumnProfile.of(cells, TEMP))
    assert (
        statistics["count"],
        statistics["num_nulls"],
        statistics["num_nan"],
        statistics["num_zeros"],
    ) == (
        4,
        1,
        1,
        2,
    )
    assert (statistics["percent_nan"], statistics["percent_zeros"]) == (20.0, 40.0)
    assert statistics["avg"] == pytest.approx(5 / 3)


@pytest.mark.parametrize("dtype", ["Float64", object])
def test_a_nullable_series_keeps_nulls_apart_from_nan(dtype: Any):
    cells = pd.Series([1.0, None, 2.0], dtype=dtype)
    profile = ColumnProfile.of(cells, TEMP)
    assert (profile.num_nulls, profile.num_nan) == (1, 0)


def test_nan_in_a_column_of_integers_is_a_null_as_spark_hands_it_over():
    profile = ColumnProfile.of(pd.Series([1.0, np.nan, 0.0]), QUALITY)
    assert (profile.count, profile.num_nulls, profile.num_nan, profile.items) == (
        2,
        1,
        0,
        {"1": 1, "0": 1},
    )


def test_integers_above_2_to_the_53_are_still_distinct():
    cells = pd.Series([2**53, 2**53 + 1, 2**53 + 2])
    assert ColumnProfile.of(cells, ColumnSpec("pid", "long", "numeric")).distinct_count == 3


def test_lengths_are_counted_in_characters_of_text_alone():
    statistics = statistics_of(ColumnProfile.of(pd.Series(["größe", "", None, "ab"]), LINE))
    assert (statistics["min_length"], statistics["max_length"]) == (0.0, 5.0)
    assert statistics["avg_length"] == pytest.approx(7 / 3)
    for name in (
        "avg",
        "stddev",
        "min",
        "median",
        "quantiles",
        "num_zeros",
        "num_nan",
        "percent_nan",
        "percent_zeros",
    ):
        assert statistics[name] is None, name
    numbers = statistics_of(ColumnProfile.of(pd.Series([1.0]), TEMP))
    assert [numbers[name] for name in ("min_length", "max_length", "avg_length")] == [None] * 3


def test_frequent_items_come_most_frequent_first_and_then_by_name():
    cells = pd.Series(["b", "a", "c", "c", None, "b", "a", "c"])
    items = statistics_of(ColumnProfile.of(cells, LINE))["frequent_items"]
    assert items == [
        {"item": "c", "count": 3},
        {"item": "a", "count": 2},
        {"item": "b", "count": 2},
    ]


def test_frequent_items_are_the_first_hundred_of_categorical_columns_alone():
    cells = pd.Series(range(150))
    categorical = ColumnProfile.of(cells, ColumnSpec("n", "long", "categorical"))
    assert len(statistics_of(categorical)["frequent_items"]) == 100
    assert (
        statistics_of(ColumnProfile.of(cells, ColumnSpec("n", "long", "numeric")))["frequent_items"]
        is None
    )


def test_a_categorical_number_has_items_and_moments():
    statistics = statistics_of(ColumnProfile.of(pd.Series([0, 1, 1, 1]), QUALITY))
    assert statistics["frequent_items"] == [{"item": "1", "count": 3}, {"item": "0", "count": 1}]
    assert (statistics["avg"], statistics["median"], statistics["percent_zeros"]) == (
        0.75,
        1.0,
        25.0,
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (1.0, "1"),
        (np.float64(0), "0"),
        (1.5, "1.5"),
        (True, "true"),
        (np.bool_(False), "false"),
        ("1.0", "1.0"),
    ],
)
def test_a_value_has_one_text_whatever_its_type(value: Any, text: str):
    assert text_of(value) == text


@pytest.mark.parametrize("parts", [2, 5, 60])
@each_column
def test_profiles_of_any_split_merge_to_the_profile_of_the_whole(name: str, parts: int):
    values, spec = COLUMNS[name]
    edges = None if spec.is_text else quantile_edges(_numbers(values, spec))
    whole = ColumnProfile.of(values, spec, edges)
    cuts = np.sort(np.random.default_rng(parts).integers(0, len(values) + 1, parts - 1))
    pieces = [values.iloc[a:b] for a, b in zip([0, *cuts], [*cuts, len(values)], strict=True)]
    profiles = [ColumnProfile.of(piece, spec, edges) for piece in pieces]
    _assert_same_facts(reduce(ColumnProfile.merge, profiles), whole)
    _assert_same_facts(profiles[0].merge(*profiles[1:]), whole)


def _assert_same_facts(merged: ColumnProfile, whole: ColumnProfile) -> None:
    fields = (
        "count",
        "num_nulls",
        "num_nan",
        "num_zeros",
        "min",
        "max",
        "items",
        "min_length",
        "max_length",
    )
    for field in (*fields, "total_length", "bin_edges", "bin_counts", "distinct_sketch"):
        assert getattr(merged, field) == getattr(whole, field), field
    assert merged.moments.n == whole.moments.n
    assert _close(merged.avg, whole.avg, rel=1e-12)
    assert _close(merged.moments.stddev, whole.moments.stddev, rel=1e-9, abs=1e-15)
    assert statistics_of(merged)["quantiles"] == statistics_of(whole)["quantiles"]


def test_merging_is_associative():
    a, b, c = (
        ColumnProfile.of(pd.Series(np.random.default_rng(i).normal(size=50)), TEMP)
        for i in range(3)
    )
    _assert_same_facts(a.merge(b).merge(c), a.merge(b.merge(c)))


def test_a_profile_of_no_rows_changes_nothing_even_without_bins():
    profile = ColumnProfile.of(*COLUMNS["normal"], edges=(340.0, 350.0))
    nothing = ColumnProfile.of(*COLUMNS["no rows"])
    assert nothing.merge(profile) == profile == profile.merge(nothing)


def test_a_profile_of_nulls_alone_still_counts_its_rows():
    profile = ColumnProfile.of(*COLUMNS["only nulls"]).merge(ColumnProfile.of(*COLUMNS["one row"]))
    assert (profile.rows, profile.num_nulls, profile.avg) == (3, 2, 3.5)


def test_profiles_in_different_bins_do_not_merge():
    values, spec = COLUMNS["normal"]
    with pytest.raises(ValueError, match="'temp' count in different bins"):
        ColumnProfile.of(values, spec, (1.0,)).merge(ColumnProfile.of(values, spec, (2.0,)))


def test_profiles_of_different_columns_do_not_merge():
    with pytest.raises(ValueError, match="different columns"):
        ColumnProfile.of(*COLUMNS["normal"]).merge(ColumnProfile.of(*COLUMNS["text"]))


def test_too_many_distinct_items_are_given_up_in_any_order_of_merging():
    spec = ColumnSpec("pid", "long", "categorical")
    thirds = [ColumnProfile.of(pd.Series(range(i * 4000, (i + 1) * 4000)), spec) for i in range(3)]
    assert len(thirds[0].merge(thirds[1]).items or {}) == 8000 <= MAX_ITEMS
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        assert reduce(ColumnProfile.merge, [thirds[i] for i in order]).items is None
    whole = ColumnProfile.of(pd.Series(range(12000)), spec)
    assert whole.items is None
    assert whole.merge(thirds[0]).items is None
    assert statistics_of(whole)["frequent_items"] is None


def test_the_bins_count_the_finite_values_of_numeric_columns_alone():
    values, spec = COLUMNS["with NaN and infinities"]
    edges = (0.0, 2.0)
    assert (
        ColumnProfile.of(values, spec, edges).bin_counts
        == tuple(bin_counts(values.to_numpy(), edges))
        == (1, 1, 1)
    )
    assert ColumnProfile.of(*COLUMNS["labels with nulls"], edges=edges).bin_counts is None


@each_column
def test_a_profile_survives_the_way_through_a_row_and_through_json(name: str):
    values, spec = COLUMNS[name]
    profile = ColumnProfile.of(values, spec, (0.0, 1.0))
    assert ColumnProfile.from_row(profile.to_row()) == profile
    assert (
        ColumnProfile.from_json(json.loads(json.dumps(profile.to_json(), allow_nan=False)))
        == profile
    )


def test_a_row_reads_back_from_the_arrays_of_a_pandas_udf():
    row = ColumnProfile.of(*COLUMNS["normal"], edges=(340.0, 350.0)).to_row()
    profile = ColumnProfile.from_row(
        {**row, **{name: np.array(row[name]) for name in ("bin_edges", "bin_counts")}}
    )
    assert profile == ColumnProfile.from_row(row)
    assert sum(profile.merge(profile).bin_counts or ()) == 3000


def test_a_row_holds_plain_values_and_reads_back_from_sparks_and_arrows_containers():
    row = ColumnProfile.of(*COLUMNS["labels with nulls"]).to_row()
    plain = (int, float, str, bytes, list, dict, type(None))
    assert all(type(value) in plain for value in row.values())
    handed_over = {
        **row,
        "items": list(row["items"].items()),
        "distinct_sketch": bytearray(row["distinct_sketch"]),
    }
    assert ColumnProfile.from_row(handed_over) == ColumnProfile.from_row(row)


def test_a_cell_that_the_type_cannot_hold_is_refused():
    with pytest.raises(ValueError, match=r"1\.5"):
        ColumnProfile.of(pd.Series([1.5]), QUALITY)


@pytest.mark.parametrize(
    ("data_type", "kind", "says"),
    [
        ("float", "numeric", "data_type"),
        ("double", "ordinal", "kind"),
        ("string", "numeric", "cannot be numeric"),
    ],
)
def test_an_impossible_column_is_refused_with_what_to_write(data_type: Any, kind: Any, says: str):
    with pytest.raises(ValueError, match=says):
        ColumnSpec("x", data_type, kind)
