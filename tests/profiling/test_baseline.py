import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lakehouse.drift.comparison import drift_of
from lakehouse.errors import ConfigurationError
from lakehouse.profiling.baseline import FORMAT, from_document, merged, to_document
from lakehouse.profiling.bins import bin_counts, quantile_edges
from lakehouse.profiling.profile import ColumnProfile, ColumnSpec, statistics_of
from lakehouse.profiling.sketches import WINDOW_VALUES

TEMP = ColumnSpec("temp", "double", "numeric")
GRADE = ColumnSpec("grade", "string", "categorical")
OK = ColumnSpec("ok", "boolean", "categorical")
RNG = np.random.default_rng(12)
NORMAL = RNG.normal(350, 6, 1500)


def _profile(
    values: Any, spec: ColumnSpec = TEMP, edges: tuple[float, ...] | None = None
) -> ColumnProfile:
    return ColumnProfile.of(pd.Series(values), spec, edges)


BASELINE = {
    "temp": _profile(NORMAL, TEMP, quantile_edges(NORMAL)),
    "grade": _profile(["a", "b", None, "a"], GRADE),
    "ok": _profile([True, False], OK),
    "empty": ColumnProfile.of(
        pd.Series([], dtype=object), ColumnSpec("empty", "double", "numeric"), (1.0,)
    ),
    "huge": _profile(
        [1e308, -1e308, -np.finfo(float).max], ColumnSpec("huge", "double", "numeric"), (0.0,)
    ),
}


def _through_text(baseline: Any) -> dict[str, ColumnProfile]:
    return from_document(json.loads(json.dumps(to_document(baseline), allow_nan=False)))


def test_a_baseline_survives_the_way_through_a_document():
    assert _through_text(BASELINE) == BASELINE
    assert list(_through_text(BASELINE)) == list(BASELINE)


def test_a_document_says_its_format_and_passes_over_fields_of_a_later_version():
    document = to_document(BASELINE)
    assert document["format"] == FORMAT == 2
    document["columns"][0]["kurtosis"] = 3.1
    assert from_document({**document, "made_by": "a later version"}) == BASELINE


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"format": 3, "columns": []}, "format 3, which this version cannot read"),
        ({"format": "1", "columns": []}, "format '1'"),
        ({"columns": []}, '"format" and "columns"'),
        ([], '"format" and "columns"'),
        ({"format": 1}, "lacks 'columns'"),
        ({"format": 1, "columns": [{"name": "temp"}]}, "lacks 'quantile_sketch'"),
        (
            {"format": 1, "columns": [{**BASELINE["temp"].to_json(), "kind": "ordinal"}]},
            "write a kind of",
        ),
        (
            {"format": 1, "columns": [{**BASELINE["temp"].to_json(), "distinct_sketch": "?"}]},
            "cannot be read",
        ),
        ({"format": 1, "columns": None}, "cannot be read"),
    ],
)
def test_a_document_that_cannot_be_read_is_one_sentence(document: Any, says: str):
    with pytest.raises(ConfigurationError, match=says):
        from_document(document)


FIELD = re.compile(r"^\| `(\w+)` \| ([^|]+) \| ", re.MULTILINE)
TYPES: dict[str, Any] = {
    "integer": lambda value: type(value) is int,
    "number": lambda value: type(value) in (int, float),
    "text": lambda value: type(value) is str,
    "object": lambda value: (
        type(value) is dict and {type(each) for each in value.values()} <= {int}
    ),
    "list of numbers": lambda value: (
        type(value) is list and {type(each) for each in value} <= {float}
    ),
    "list of integers": lambda value: (
        type(value) is list and {type(each) for each in value} <= {int}
    ),
    "list of objects": lambda value: (
        type(value) is list and {type(each) for each in value} == {dict}
    ),
    "null": lambda value: value is None,
}


def test_the_documented_fields_are_the_written_ones_with_their_types():
    text = Path(__file__).parents[2].joinpath("docs/profile-format.md").read_text()
    outer, inner = (dict(FIELD.findall(part)) for part in text.split("## A column"))
    document = json.loads(json.dumps(to_document(BASELINE)))
    for fields, written in [
        (outer, document),
        *((inner, column) for column in document["columns"]),
    ]:
        assert list(fields) == list(written)
        for name, types in fields.items():
            assert any(TYPES[each](written[name]) for each in types.split(" or ")), (
                name,
                written[name],
            )
    nullable = {name for name, types in inner.items() if "null" in types}
    assert nullable == {
        name for column in document["columns"] for name, value in column.items() if value is None
    }


@pytest.mark.parametrize("seed", range(5))
def test_a_profile_in_other_bins_is_the_one_that_was_counted_in_them(seed: int):
    rng = np.random.default_rng(seed)
    values = rng.choice(
        [
            rng.normal(size=WINDOW_VALUES),
            rng.integers(0, 6, WINDOW_VALUES).astype(float),
            rng.standard_cauchy(WINDOW_VALUES),
        ]
    )
    first, other = quantile_edges(values), tuple(np.unique(rng.normal(size=7)).tolist())
    profile = _profile([*values[:-2], np.nan, np.inf], TEMP, first)
    for edges in (other, (), (-1e9, 1e9), (0.0, 2.0, 3.0), tuple(first[::2]), first):
        assert profile.rebinned(edges) == _profile([*values[:-2], np.nan, np.inf], TEMP, edges)


def test_a_profile_of_many_values_keeps_the_sketchs_error_in_other_bins():
    values = RNG.lognormal(size=50_000)
    edges = quantile_edges(RNG.lognormal(size=999))
    found, counted = _profile(values).rebinned(edges).bin_counts, bin_counts(values, edges)
    assert found is not None
    assert sum(found) == 50_000
    assert min(found) >= 0
    assert np.abs(np.cumsum(found) - np.cumsum(counted)).max() <= 0.001 * 50_000


def test_rebinning_to_the_same_bins_keeps_the_exact_counts():
    values = RNG.lognormal(size=50_000)
    profile = _profile(values, TEMP, quantile_edges(values))
    assert profile.rebinned(list(quantile_edges(values))) is profile


def test_no_values_are_in_no_bin():
    assert BASELINE["empty"].rebinned((1.0, 2.0)).bin_counts == (0, 0, 0)


def test_categories_have_no_bins_to_change():
    for name in ("grade", "ok"):
        with pytest.raises(ValueError, match="categorical"):
            BASELINE[name].rebinned((1.0,))


def test_two_baselines_merge_in_the_bins_of_the_first():
    more = RNG.normal(353, 6, 400)
    other = {"temp": _profile(more, TEMP, quantile_edges(more)), "grade": _profile(["c"], GRADE)}
    both = merged(BASELINE, other)
    rows = np.concatenate([NORMAL, more])
    whole = _profile(rows, TEMP, quantile_edges(NORMAL))
    assert both["temp"].bin_counts == whole.bin_counts
    assert both["temp"].bin_edges == BASELINE["temp"].bin_edges
    for name, value in statistics_of(whole).items():
        assert statistics_of(both["temp"])[name] == (
            pytest.approx(value) if value is not None else None
        ), name
    assert both["grade"].items == {"a": 2, "b": 1, "c": 1}
    assert (both["ok"], list(both)) == (BASELINE["ok"], list(BASELINE))
    assert list(merged(other, BASELINE)) == ["temp", "grade", "ok", "empty", "huge"]


@pytest.mark.parametrize("swapped", [False, True])
def test_a_side_without_bins_or_without_rows_takes_those_of_the_other(swapped: bool):
    binned, plain = {"temp": BASELINE["temp"]}, {"temp": _profile(NORMAL + 1)}
    both = merged(plain, binned) if swapped else merged(binned, plain)
    assert sum(both["temp"].bin_counts or ()) == 3000
    nothing = {"temp": ColumnProfile.of(pd.Series([], dtype=object), TEMP, (1.0, 2.0))}
    assert merged(nothing, binned)["temp"].bin_edges == (1.0, 2.0)
    assert merged(binned, nothing)["temp"] == BASELINE["temp"]
    assert merged(plain, plain)["temp"].bin_counts is None


def test_columns_of_another_type_do_not_merge():
    with pytest.raises(ValueError, match="different columns"):
        merged(BASELINE, {"temp": _profile([1], ColumnSpec("temp", "long", "numeric"))})


def test_a_baseline_from_a_document_measures_drift_as_the_first_one_does():
    current = _profile(RNG.normal(352, 6, 300), TEMP, BASELINE["temp"].bin_edges)
    assert drift_of(current, _through_text(BASELINE)["temp"]) == drift_of(current, BASELINE["temp"])
