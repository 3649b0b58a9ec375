from collections.abc import Callable
from functools import reduce

import numpy as np
import pandas as pd
import pytest
from datasketches import kll_doubles_sketch, update_theta_sketch

from lakehouse.profiling.hashing import theta_hashes, with_least_hashes
from lakehouse.profiling.profile import ColumnProfile, ColumnSpec, statistics_of
from lakehouse.profiling.sketches import (
    WINDOW_VALUES,
    counts_in_bins,
    distinct_count,
    distinct_sketch,
    merged_distinct,
    merged_quantiles,
    quantile_sketch,
    quantiles,
    representatives,
)
from lakehouse.profiling.value_histogram import ValueHistogram

TEMP = ColumnSpec("temp", "double", "numeric")


def test_quantiles_are_numpys_averaged_inverted_cdf():
    values = np.random.default_rng(3).normal(size=128)
    ranks = np.arange(0, 64) / 64
    assert quantiles(quantile_sketch(values), steps=64) == pytest.approx(
        np.quantile(values, ranks, method="averaged_inverted_cdf")
    )


SHAPES: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal": lambda rng, n: rng.normal(350, 6, n),
    "normal around zero": lambda rng, n: rng.normal(size=n),
    "uniform": lambda rng, n: rng.random(n),
    "lognormal": lambda rng, n: rng.lognormal(size=n),
    "many orders of magnitude": lambda rng, n: rng.lognormal(0, 5, n),
    "Cauchy": lambda rng, n: rng.standard_cauchy(n),
    "exponential": lambda rng, n: rng.exponential(size=n),
    "times": lambda rng, n: 1.56e9 + 86_400 * rng.random(n),
    "far from zero": lambda rng, n: 1e9 + rng.normal(size=n),
    "ties": lambda rng, n: np.round(rng.normal(350, 6, n), 1),
    "half of them zero": lambda rng, n: rng.normal(5, 1, n) * (rng.random(n) < 0.5),
}
each_shape = pytest.mark.parametrize("shape", SHAPES)


@pytest.mark.slow
@each_shape
@pytest.mark.parametrize("n", [3000, 200_000])
def test_a_summary_is_the_same_bytes_in_whatever_order_and_split_its_values_come(
    shape: str, n: int
):
    rng = np.random.default_rng(n)
    values = SHAPES[shape](rng, n)
    whole = quantile_sketch(values)
    assert quantile_sketch(rng.permutation(values)) == whole
    for parts in (2, 24, 168):
        cuts = np.sort(rng.integers(0, n, parts - 1))
        sketches = [quantile_sketch(part) for part in np.split(rng.permutation(values), cuts)]
        assert merged_quantiles(*sketches) == merged_quantiles(*sketches[::-1]) == whole
        assert reduce(merged_quantiles, sketches) == whole


@each_shape
@pytest.mark.parametrize("n", [3000, 200_000])
def test_quantiles_of_many_values_are_within_the_stated_error_of_the_truth(shape: str, n: int):
    values = np.sort(SHAPES[shape](np.random.default_rng(n + 1), n))
    sketch = quantile_sketch(values)
    whole, rest = np.divmod(np.arange(1000) * n, 1000)
    found, true = (
        quantiles(sketch),
        (values[np.maximum(whole - (rest == 0), 0)] + values[whole]) / 2,
    )
    # In ranks: a tenth of a percent. In value: no bucket is wider than a share of the value.
    low, high = (np.searchsorted(values, found, side) / n for side in ("left", "right"))
    ranks = np.arange(1000) / 1000
    assert np.all((low - 0.001 <= ranks) & (ranks <= high + 0.001))
    level = ValueHistogram.from_bytes(sketch).level
    assert np.all(np.abs(found - true) <= 2.0 ** (level - 52) * np.abs(true) + 1e-300)
    counts = np.cumsum(counts_in_bins(sketch, n, true[1:]))[:-1]
    assert np.abs(counts - np.searchsorted(values, true[1:], side="right")).max() <= 0.001 * n


def test_a_summary_never_has_more_buckets_than_it_may_and_always_more_than_half_where_it_is_not_exact():
    for shape, draw in SHAPES.items():
        histogram = ValueHistogram.from_bytes(
            quantile_sketch(draw(np.random.default_rng(2), 50_000))
        )
        assert len(histogram.counts) <= WINDOW_VALUES, shape
        assert histogram.is_exact or len(histogram.counts) > WINDOW_VALUES / 2, shape


def test_the_ends_of_the_doubles_are_values_like_others():
    values = np.array(
        [-1.7976931348623157e308, -5e-324, -0.0, 0.0, 5e-324, 2.2e-308, 1.7976931348623157e308]
    )
    assert representatives(quantile_sketch(values)).tolist() == [*values[:2], 0.0, 0.0, *values[4:]]
    for kept in (1, 2, 3):
        found = representatives(quantile_sketch(values, kept))
        assert np.isfinite(found).all()
        assert np.all(np.diff(found) >= 0)
        assert counts_in_bins(quantile_sketch(values, kept), 7, (1e308 * 1.79,))[0] <= 7


def test_a_summary_of_nothing_and_of_something_else_are_distinguished():
    empty = quantile_sketch(np.array([]))
    assert (len(quantiles(empty)), counts_in_bins(empty, 0, (1.0,))) == (0, (0, 0))
    assert merged_quantiles(empty, quantile_sketch(np.array([2.0])), empty) == quantile_sketch(
        np.array([2.0])
    )
    for content in (b"", b"VH\x02" + empty[3:]):
        with pytest.raises(ValueError, match="no value histogram"):
            ValueHistogram.from_bytes(content)


def test_a_sketch_of_release_0_2_is_read_and_merges():
    values = np.random.default_rng(8).normal(size=1500)
    old = kll_doubles_sketch(2048)
    old.update(values[:700])
    merged = merged_quantiles(old.serialize(), quantile_sketch(values[700:]))
    assert representatives(merged).tolist() == np.sort(values).tolist()


@pytest.fixture(scope="module")
def many() -> tuple[np.ndarray, ColumnProfile]:
    values = np.random.default_rng(11).lognormal(size=60_000)
    parts = [ColumnProfile.of(pd.Series(part), TEMP) for part in np.array_split(values, 24)]
    return values, reduce(ColumnProfile.merge, parts)


def test_many_distinct_values_are_counted_to_the_sketchs_error_whatever_the_split(
    many: tuple[np.ndarray, ColumnProfile],
):
    values, profile = many
    assert profile.distinct_count == pytest.approx(60_000, rel=4 * 0.016)
    assert (
        profile.distinct_sketch == ColumnProfile.of(pd.Series(values[::-1]), TEMP).distinct_sketch
    )


def test_more_values_are_never_distinct_than_there_are(many: tuple[np.ndarray, ColumnProfile]):
    assert all(
        ColumnProfile.of(pd.Series(many[0][:n]), TEMP).distinct_count <= n
        for n in range(5000, 20_000, 2500)
    )


def test_quantiles_are_exact_up_to_the_sketchs_size():
    values = np.random.default_rng(5).normal(size=WINDOW_VALUES)
    assert statistics_of(ColumnProfile.of(pd.Series(values), TEMP))["median"] == np.median(values)


def test_a_sketch_of_few_values_gives_them_back():
    values = np.random.default_rng(6).normal(size=777)
    assert representatives(quantile_sketch(values)).tolist() == np.sort(values).tolist()
    assert len(representatives(quantile_sketch(np.array([])))) == 0


WHOLE = np.random.default_rng(1).integers(-(2**62), 2**62, 100_000)
ARRAYS = {
    "whole numbers": WHOLE,
    "whole numbers of 32 bits": (WHOLE >> 40).astype(np.int32),
    "doubles": np.random.default_rng(2).standard_cauchy(50_000),
    "doubles with two zeros and NaN": np.concatenate(
        [[0.0, -0.0, -np.nan, np.inf, -np.inf], np.full(9999, np.nan)]
    ),
    # The hash of NaN is among the least 41 %, those of these bits are not.
    "doubles with NaN of other bits": np.append(
        np.arange(1.0, 10_000), np.array([0x7FF8000000000004]).view(float)
    ),
    "doubles with a negative zero alone": np.append(np.arange(1.0, 5000), -0.0),
    "doubles with a negative zero among more": np.append(np.arange(1.0, 100_000), -0.0),
    "repeated": np.repeat(WHOLE[:6000], 9),
    "few": np.array([3, 1, 2]),
    "truth": np.array([True, False, True]),
    "one more than are kept": np.arange(4097),
    "none": np.array([]),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_the_sketch_of_an_array_is_that_of_a_loop_over_its_values(name: str):
    values = ARRAYS[name]
    assert distinct_sketch(values) == distinct_sketch(values.tolist())
    assert distinct_sketch(np.random.default_rng(3).permutation(values)) == distinct_sketch(values)


def test_the_hash_of_an_array_is_the_sketchs_own():
    values = [0, 1, -7, 2**62, -(2**63)]
    sketches = [update_theta_sketch() for _ in values]
    for sketch, value in zip(sketches, values, strict=True):
        sketch.update(value)
    own = [next(iter(sketch.compact())) for sketch in sketches]
    assert theta_hashes(np.array(values).view(np.uint64)).tolist() == own


def test_arrays_of_a_million_take_no_loop_over_a_million():
    values = np.arange(10**6)
    assert len(with_least_hashes(values, 4097)) == 4097


def test_distinct_values_are_exact_up_to_4096_however_often_they_are_seen():
    halves = distinct_sketch([*range(3000)] * 2), distinct_sketch(range(1096, 4096))
    assert [distinct_count(half) for half in halves] == [3000, 3000]
    assert distinct_count(merged_distinct(*halves)) == 4096
