"""Bins: DuckDB's codes are numpy's, whatever stands in a name or a value."""

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from lakehouse.explore.bins import Bins, bins_of, categories_of, edge_words
from lakehouse.explore.subject import Column
from lakehouse.profiling.bins import bin_counts

HOSTILE = ["a b", 'quo"te', "it's", "dot.ted", "grüße", "<script>alert(1)</script>", "a;--", "%&"]


def _codes(bins: Bins, values: pa.Array) -> list[int]:
    with duckdb.connect() as connection:
        connection.register("given", pa.table({bins.column.name: values}))
        return [row[0] for row in connection.execute(f"SELECT {bins.sql} FROM given").fetchall()]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_number_is_counted_as_the_monitor_counts_it(name: str) -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0, 1e-3, 900), np.zeros(100), [1e300, -1e300]])
    bins = bins_of(Column(name, "double"), values, None, True)
    codes = _codes(bins, pa.array(values))
    assert bins.edges is not None
    assert (
        np.bincount(codes, minlength=bins.size).tolist() == bin_counts(values, bins.edges).tolist()
    )
    assert len(bins.words) == bins.size + 1


def test_what_is_no_finite_number_is_in_the_last_bin() -> None:
    bins = Bins(Column("x", "double"), edges=(1.0, 2.0))
    values = [None, float("nan"), float("inf"), -float("inf"), 1.0, 1.5, 2.5]
    assert _codes(bins, pa.array(values, from_pandas=False)) == [3, 3, 3, 3, 0, 1, 2]
    assert bins.words == ["up to 1", "1 to 2", "above 2", "no value"]


def test_edges_on_record_are_taken_and_few_values_have_a_bin_each() -> None:
    column = Column("n", "integer")
    assert bins_of(column, np.arange(100.0), [10.0, 50.0], True).edges == (10.0, 50.0)
    few = bins_of(column, np.array([3.0, 1.0, 2.0, 2.0]), [1.5], True)
    assert (few.values, few.edges, few.rest, few.drawn) == ((1, 2, 3), None, False, 3)
    assert _codes(few, pa.array([2, None, 7, 1])) == [1, 4, 3, 0]
    assert not bins_of(column, np.array([]), None, True).values


@pytest.mark.parametrize("kind", ["double", "integer"])
def test_a_column_of_doubles_with_few_values_knows_what_is_missing(kind: str) -> None:
    bins = bins_of(Column("x", "double"), np.array([0.1, 0.2]), None, True)
    assert _codes(bins, pa.array([0.1, float("nan"), None, 0.2], from_pandas=False)) == [0, 3, 3, 1]


def test_kinds_are_in_the_order_of_their_declaration_and_the_rest_is_other() -> None:
    values = [*HOSTILE, None, "rare"]
    bins = categories_of(Column("x", "string", ("it's",)), HOSTILE, 12)
    codes = _codes(bins, pa.array(values))
    words = [bins.words[code] for code in codes]
    assert words == [*HOSTILE, "no value", "other"]
    assert bins.values[0] == "it's"
    truth = categories_of(Column("b", "boolean"), [True, False])
    assert [truth.words[code] for code in _codes(truth, pa.array([True, None, False]))] == [
        "true",
        "no value",
        "false",
    ]


def test_words_of_a_least_value_do_not_show_the_double_below_it() -> None:
    values = np.concatenate([np.zeros(900), np.linspace(1, 2, 100)])
    bins = bins_of(Column("x", "double"), values, None, True)
    assert bins.words[:2] == ["below 0", "0"]
    assert edge_words([np.nextafter(3.0, 0), 3.0, 4.0]) == ["3", "3", "4"]
    assert bins.between(1, 1) == "at 0"
    assert bins.between(0, 1) == "up to 0"
    assert (bins.low, bins.high) == (0.0, pytest.approx(1.95, abs=0.01))


def test_coarse_bins_are_neighbours_together() -> None:
    bins = Bins(Column("x", "double"), edges=tuple(float(edge) for edge in range(1, 8)))
    values = pa.array([0.5 + place for place in range(8)])
    fine, coarse = _codes(bins, values), _codes(bins.coarse(3), values)
    assert [code // 3 for code in fine] == coarse
