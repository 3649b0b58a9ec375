"""What a column's values were like: the newest day against the version's training data."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

from lakehouse.dashboard.charts import histograms, legend
from lakehouse.dashboard.markup import joined
from lakehouse.dashboard.panels import Panel
from lakehouse.dashboard.queries import PERCENTS
from lakehouse.dashboard.rows import ModelAnswers, Row
from lakehouse.dashboard.words import counted

_BINS = 24


def distribution(model: ModelAnswers, name: str) -> list[Panel]:
    """Two histograms of a numeric column, over the same bins; none where one is not known."""
    rows = {
        row["log_type"]: row for row in model.rows("distribution") if row["column_name"] == name
    }
    if set(rows) != {"BASELINE", "INPUT"}:
        return []
    training, newest = quantiles_of(rows["BASELINE"]), quantiles_of(rows["INPUT"])
    first, last = min(training[0], newest[0]), max(training[-1], newest[-1])
    if first == last:
        return []
    edges = [first + (last - first) * place / _BINS for place in range(_BINS + 1)]
    drawn = [(shares(training, edges), "area-training"), (shares(newest, edges), "outline")]
    day, n = rows["INPUT"]["day"], rows["INPUT"]["n"]
    keys = legend(
        [
            ("area-training", f"training data, {counted(rows['BASELINE']['n'], 'row')}"),
            ("outline", f"{day}, {counted(n, 'row')}"),
        ]
    )
    label = f"Values of {name} on {day} and in the training data"
    return [
        Panel(
            f"distribution-{name}",
            f"Where do the values of {name} lie, against the training data?",
            "Share of rows by value, from twentieths; bins of equal width.",
            joined(histograms(drawn, first, last, label), keys),
            "distribution",
            where=f"column_name={name}",
            column=name,
        )
    ]


def quantiles_of(row: Row) -> list[float]:
    """The least value, the 5th to the 95th percentile, and the greatest; never descending."""
    values = [row["min"], *(row[f"q{percent}"] for percent in PERCENTS), row["max"]]
    ascending: list[float] = []
    for value in values:
        # Sketched quantiles may lie beyond the exact bounds by their error.
        ascending.append(max(value, ascending[-1]) if ascending else value)
    return ascending


def shares(quantiles: Sequence[float], edges: Sequence[float]) -> list[float]:
    """The share of rows between each two edges, by straight lines between quantiles.

    Half of the rows below 2, half above:

        >>> shares([0.0, 2.0, 3.0], [0.0, 1.0, 2.0, 3.0])
        [0.25, 0.25, 0.5]
    """
    below = [_share_below(quantiles, edge) for edge in edges]
    return [high - low for low, high in pairwise(below)]


def _share_below(quantiles: Sequence[float], edge: float) -> float:
    parts = len(quantiles) - 1
    place = bisect_right(quantiles, edge)
    if place == 0:
        return 0.0
    if place > parts:
        return 1.0
    low, high = quantiles[place - 1], quantiles[place]
    return (place - 1 + (edge - low) / (high - low)) / parts
