from functools import reduce

import numpy as np
import pandas as pd
import pytest
from datasketches import update_theta_sketch

from lakehouse.statistics.hashing import theta_hashes, with_least_hashes
from lakehouse.statistics.profile import ColumnProfile, ColumnSpec, statistics_of
from lakehouse.statistics.sketches import (
    KLL_K,
    distinct_count,
    distinct_sketch,
    merged_distinct,
    quantile_sketch,
    quantiles,
    representatives,
)

TEMP = ColumnSpec("temp", "double", "numeric")


def test_quantiles_are_numpys_averaged_inverted_cdf():
    values = np.random.default_rng(3).normal(size=128)
    ranks = np.arange(0, 64) / 64
    assert quantiles(quantile_sketch(values), steps=64) == pytest.approx(
        np.quantile(values, ranks, method="averaged_inverted_cdf")
    )


@pytest.fixture(scope="module")
def many() -> tuple[np.ndarray, ColumnProfile]:
    values = np.random.default_rng(11).lognormal(size=60_000)
    parts = [ColumnProfile.of(pd.Series(part), TEMP) for part in np.array_split(values, 24)]
    return values, reduce(ColumnProfile.merge, parts)


def test_quantiles_of_many_values_keep_the_sketchs_rank_error(many: tuple[np.ndarray, ColumnProfile]):
    values, profile = many
    ranks = np.searchsorted(np.sort(values), statistics_of(profile)["quantiles"]) / len(values)
    # Twice the 99 % bound of one rank, since a thousand are looked at and the sketch is randomised.
    assert np.abs(ranks - np.arange(1000) / 1000).max() < 2 * 0.0015


def test_many_distinct_values_are_counted_to_the_sketchs_error_whatever_the_split(
    many: tuple[np.ndarray, ColumnProfile],
):
    values, profile = many
    assert profile.distinct_count == pytest.approx(60_000, rel=4 * 0.016)
    assert profile.distinct_sketch == ColumnProfile.of(pd.Series(values[::-1]), TEMP).distinct_sketch


def test_more_values_are_never_distinct_than_there_are(many: tuple[np.ndarray, ColumnProfile]):
    assert all(ColumnProfile.of(pd.Series(many[0][:n]), TEMP).distinct_count <= n for n in range(5000, 20_000, 2500))


def test_quantiles_are_exact_up_to_the_sketchs_size():
    values = np.random.default_rng(5).normal(size=KLL_K)
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
    "doubles with two zeros and NaN": np.concatenate([[0.0, -0.0, -np.nan, np.inf, -np.inf], np.full(9999, np.nan)]),
    # The hash of NaN is among the least 41 %, those of these bits are not.
    "doubles with NaN of other bits": np.append(np.arange(1.0, 10_000), np.array([0x7FF8000000000004]).view(float)),
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
