"""Every column of both metric tables against support/reference.py: types × edge cases, in random
parts and merged.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lakehouse.drift.comparison import drift_of
from lakehouse.profiling.bins import quantile_edges
from lakehouse.profiling.columns import ARROW_TYPES, numbers_of, read_column
from lakehouse.profiling.profile import ColumnProfile, ColumnSpec, statistics_of
from lakehouse.quality.classification import QualityFacts
from lakehouse.quality.facts import Quality, quality_metrics
from lakehouse.quality.regression import RegressionFacts
from tests.support import reference

NAN, INF = float("nan"), float("inf")
Generator = np.random.Generator


def _moments(rng: Generator, n: int) -> list[Any]:
    return [
        dt.datetime(2019, 7, 1) + dt.timedelta(microseconds=int(each))
        for each in rng.integers(0, 10**13, n)
    ]


USUAL: dict[str, tuple[str, str, Callable[[Generator, int], list[Any]]]] = {
    "double": ("double", "numeric", lambda rng, n: rng.normal(350, 6, n).tolist()),
    "double far from zero": (
        "double",
        "numeric",
        lambda rng, n: (1e9 + rng.normal(size=n)).tolist(),
    ),
    "double with heavy tails": (
        "double",
        "numeric",
        lambda rng, n: rng.standard_cauchy(n).tolist(),
    ),
    "double of few values": (
        "double",
        "categorical",
        lambda rng, n: rng.choice([0.5, 1.0, -2.0], n).tolist(),
    ),
    "long": ("long", "numeric", lambda rng, n: rng.integers(-(10**6), 10**6, n).tolist()),
    "long of few values": ("long", "categorical", lambda rng, n: rng.integers(0, 7, n).tolist()),
    "integer": ("integer", "numeric", lambda rng, n: rng.poisson(2, n).tolist()),
    "boolean": ("boolean", "categorical", lambda rng, n: (rng.random(n) < 0.3).tolist()),
    "boolean as a number": ("boolean", "numeric", lambda rng, n: (rng.random(n) < 0.3).tolist()),
    "string": (
        "string",
        "categorical",
        lambda rng, n: rng.choice(["a", "bb", "", "größe", "\U0001f600"], n).tolist(),
    ),
    "timestamp": ("timestamp", "numeric", _moments),
    "timestamp of few values": (
        "timestamp",
        "categorical",
        lambda rng, n: rng.choice(_moments(rng, 3), n).tolist(),
    ),
}
EDGES: dict[str, Callable[[list[Any], Generator], list[Any]]] = {
    "as usual": lambda cells, rng: cells,
    "with nulls": lambda cells, rng: [None if rng.random() < 0.2 else cell for cell in cells],
    "one row": lambda cells, rng: cells[:1],
    "two rows": lambda cells, rng: cells[:2],
    "no rows": lambda cells, rng: [],
    "only nulls": lambda cells, rng: [None] * 5,
    "one row and nulls": lambda cells, rng: [None, cells[0], None],
    "constant": lambda cells, rng: cells[:1] * 49,
}
DOUBLE_EDGES: dict[str, Callable[[list[Any], Generator], list[Any]]] = {
    "with NaN and infinities": lambda cells, rng: [*cells, NAN, INF, -INF, NAN],
    "with NaN and nulls": lambda cells, rng: [*cells, NAN, None, None],
    "only NaN": lambda cells, rng: [NAN, NAN],
    "one row and NaN": lambda cells, rng: [NAN, cells[0]],
    "with zeros of both signs": lambda cells, rng: [*cells, 0.0, -0.0],
    "with values whose squares are too large": lambda cells, rng: [*cells, 1e200, -1e300],
}
CASES = [(kind, edge) for kind in USUAL for edge in EDGES] + [
    ("double", edge) for edge in DOUBLE_EDGES
]
each_case = pytest.mark.parametrize(("kind", "edge"), CASES)
pytestmark = pytest.mark.filterwarnings(
    "ignore:A single label was found"
)  # by scikit-learn, of one row
each_split = pytest.mark.parametrize("parts", [1, 13])


def _cells(kind: str, edge: str, seed: int, n: int = 300) -> list[Any]:
    rng = np.random.default_rng(seed)
    return ({**EDGES, **DOUBLE_EDGES})[edge](USUAL[kind][2](rng, n), rng)


def _spec(kind: str) -> ColumnSpec:
    data_type, measured, _ = USUAL[kind]
    return ColumnSpec("x", data_type, measured)  # type: ignore[arg-type]


def _edges(kind: str, cells: Sequence[Any]) -> tuple[float, ...] | None:
    spec = _spec(kind)
    if spec.is_categorical:
        return None
    column = read_column(pa.array(cells, ARROW_TYPES[spec.data_type]), spec.data_type)
    return quantile_edges(numbers_of(column.drop_null()))


def _profile(
    kind: str, cells: Sequence[Any], edges: tuple[float, ...] | None, parts: int
) -> ColumnProfile:
    """The profile of cells in a random order, in random parts (some of them empty), merged."""
    rng, spec = np.random.default_rng(parts), _spec(kind)
    order = rng.permutation(len(cells)) if parts > 1 else np.arange(len(cells))
    cuts = np.sort(rng.integers(0, len(cells) + 1, parts - 1))
    pieces = [[cells[i] for i in piece] for piece in np.split(order, cuts)]
    return reduce(
        ColumnProfile.merge,
        [
            ColumnProfile.of(pa.array(piece, ARROW_TYPES[spec.data_type]), spec, edges)
            for piece in pieces
        ],
    )


def _assert_profiled(kind: str, cells: Sequence[Any], parts: int) -> None:
    expected = reference.profile_of(cells, *USUAL[kind][:2])
    found = statistics_of(_profile(kind, cells, _edges(kind, cells), parts))
    assert set(found) == set(expected), "every column is proven"
    assert reference.differences(found, expected) == []


@each_split
@each_case
def test_a_columns_statistics_are_those_of_the_raw_rows(kind: str, edge: str, parts: int):
    _assert_profiled(kind, _cells(kind, edge, 1), parts)


@pytest.mark.parametrize(
    "kind", ["double", "double with heavy tails", "long", "timestamp", "string"]
)
def test_statistics_of_many_rows_stay_within_the_stated_errors(kind: str):
    _assert_profiled(kind, _cells(kind, "with nulls", 2, 20_000), 13)


def _assert_compared(kind: str, sides: tuple[Sequence[Any], Sequence[Any]], parts: int) -> None:
    edges = _edges(kind, sides[1])
    expected = reference.drift_of(*sides, *USUAL[kind][:2], edges)
    found = drift_of(*(_profile(kind, side, edges, parts) for side in sides))
    assert set(found) == set(expected), "every column is proven"
    assert reference.differences(found, expected) == []


@pytest.mark.parametrize("against", ["as usual", "constant", "one row", "only nulls"])
@each_case
def test_a_columns_drift_is_that_of_the_raw_rows(kind: str, edge: str, against: str):
    _assert_compared(kind, (_cells(kind, edge, 3), _cells(kind, against, 4, 500)), 7)


@pytest.mark.parametrize("kind", USUAL)
def test_the_same_rows_do_not_drift(kind: str):
    cells = _cells(kind, "with nulls", 5)
    _assert_compared(kind, (cells, cells), 2)


@pytest.mark.parametrize("kind", ["double", "double with heavy tails", "integer", "timestamp"])
def test_drift_of_many_rows_stays_within_the_stated_errors(kind: str):
    _assert_compared(
        kind, (_cells(kind, "as usual", 6, 9000), _cells(kind, "as usual", 7, 30_000)), 13
    )


@each_split
@pytest.mark.parametrize("classes", [[0, 1], ["no", "yes"], [False, True], ["a", "b", "c"]])
@pytest.mark.parametrize(
    "labelled", ["some", "all", "none", "one class", "one row", "unknown class"]
)
def test_a_classifiers_metrics_are_those_of_the_raw_rows(
    classes: list[Any], labelled: str, parts: int
):
    rng = np.random.default_rng(len(classes) + parts)
    n = 1 if labelled == "one row" else 120
    p = rng.dirichlet([0.5] * len(classes), n)
    p[: n // 20] = np.eye(len(classes))[0]
    truth = [classes[rng.choice(len(classes), p=0.5 * row + 0.5 / len(classes))] for row in p]
    hidden = {"some": 0.3, "none": 1.0}.get(labelled, 0.0)
    labels = [None if rng.random() < hidden else label for label in truth]
    if labelled == "one class":
        labels = [classes[0]] * n
    if labelled == "unknown class" and isinstance(classes[0], str):
        labels[:3] = ["z"] * 3
    p[n // 2 : n // 2 + n // 30] = NAN
    predictions = [classes[int(np.nan_to_num(row).argmax())] for row in p]
    others = [classes[int(each)] for each in rng.integers(0, len(classes), n)]
    expected = reference.classification_of(predictions, labels, p, classes, None, others)
    _assert_judged(
        lambda rows: QualityFacts.of(
            [predictions[i] for i in rows],
            [labels[i] for i in rows],
            p[rows],
            classes,
            None,
            [others[i] for i in rows],
        ),
        expected,
        n,
        parts,
    )


@each_split
@pytest.mark.parametrize("labelled", ["some", "none", "one row", "constant", "with a zero"])
def test_a_regressors_metrics_are_those_of_the_raw_rows(labelled: str, parts: int):
    rng = np.random.default_rng(parts)
    n = 1 if labelled == "one row" else 200
    truth = np.full(n, 0.1) if labelled == "constant" else rng.normal(100, 20, n)
    predictions, others = truth + rng.normal(1, 3, n), truth + rng.normal(3, 3, n)
    hidden = {"some": 0.3, "none": 1.0}.get(labelled, 0.0)
    labels = [None if rng.random() < hidden else float(label) for label in truth]
    if labelled == "with a zero":
        labels[0] = 0.0
    expected = reference.regression_of(predictions, labels, 2.5, others)
    _assert_judged(
        lambda rows: RegressionFacts.of(
            predictions[rows], [labels[i] for i in rows], 2.5, others[rows]
        ),
        expected,
        n,
        parts,
    )


def _assert_judged(
    facts_of: Callable[[np.ndarray], Any], expected: dict[str, Any], n: int, parts: int
) -> None:
    pieces = np.array_split(np.random.default_rng(parts).permutation(n), parts)
    whole: Quality = reduce(lambda a, b: a.merge(b), [facts_of(piece) for piece in pieces])
    found = quality_metrics(whole)
    assert set(found) == set(expected), "every column is proven"
    assert reference.differences(found, expected) == []


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"x": 1}, {"x": 2}),
        ({"x": None}, {"x": reference.Near(1.0)}),
        ({"x": 1.0}, {"x": None}),
        ({"x": 1.00001}, {"x": reference.Near(1.0)}),
        ({"x": [1.0, 2.1]}, {"x": reference.Between(np.array([0.9, 1.9]), np.array([1.1, 2.0]))}),
        ({"x": None}, {"x": reference.Between(0, 1)}),
        ({"x": {"statistic": 1.0}}, {"x": {"statistic": reference.Near(2.0)}}),
        ({"x": {}}, {"x": {"statistic": reference.Near(2.0)}}),
        ({"x": None}, {"x": {"statistic": reference.Near(2.0)}}),
    ],
)
def test_the_reference_sees_a_difference(row: dict[str, Any], expected: dict[str, Any]):
    assert len(reference.differences(row, expected)) == 1
