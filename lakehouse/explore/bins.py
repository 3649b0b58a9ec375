"""The bins of a column: stretches of a number, or single values; as words and as SQL."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from lakehouse.explore.subject import Column
from lakehouse.profiling.bins import quantile_edges
from lakehouse.profiling.columns import text_of

MOST = 20
"""Bins of a number at most, besides the one of missing values."""
SINGLE = 12
"""Distinct values up to which each has a bin of its own."""
OTHER, MISSING = "other", "no value"
_DRAWN = (0.005, 0.995)


@dataclass(frozen=True)
class Bins:
    """How the values of a column are binned.

    The bins of a number are `(edge before, edge]`, the outermost ones open. A code counts bins from
    0; the last but one of single values is for all others, the last bin for missing ones (NULL, NaN
    and infinities).

    Attributes:
        column: whose values.
        edges: inner edges, ascending; None where each value has its own bin.
        values: that have their own bin, in order.
        low: where a drawing begins.
        high: where it ends.
        recorded: whether the edges are those of the metrics on record.
        rest: whether there may be values that have no bin of their own.
    """

    column: Column
    edges: tuple[float, ...] | None = None
    values: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 1.0
    recorded: bool = False
    rest: bool = True

    @property
    def is_number(self) -> bool:
        """Whether the bins are stretches of a number."""
        return self.edges is not None

    @property
    def is_ordered(self) -> bool:
        """Whether neighbours are alike: stretches, or single numbers."""
        return self.is_number or not self.column.is_category

    @property
    def size(self) -> int:
        """Bins of values; the one of missing values comes after them."""
        return len(self.values) + 1 if self.edges is None else len(self.edges) + 1

    @property
    def drawn(self) -> int:
        """Bins that are drawn: without the one of all others, if there are none."""
        return self.size if self.rest or self.is_number else len(self.values)

    @property
    def words(self) -> list[str]:
        """What each bin is called, the one of missing values included.

        >>> Bins(Column("x", "double"), edges=(1.0, 2.5)).words
        ['up to 1', '1 to 2.5', 'above 2.5', 'no value']
        """
        if self.edges is None:
            return [*map(text_of, self.values), OTHER, MISSING]
        if not self.edges:
            return ["any", MISSING]
        ends = edge_words(self.edges)
        inner = [low if low == high else f"{low} to {high}" for low, high in pairwise(ends)]
        first = f"below {ends[0]}" if ends[0] in ends[1:2] else f"up to {ends[0]}"
        return [first, *inner, f"above {ends[-1]}", MISSING]

    def coarse(self, step: int) -> "Bins":
        """Bins of so many neighbours: their codes are those of the single ones, divided.

        >>> Bins(Column("x", "double"), edges=(1.0, 2.0, 3.0)).coarse(2).edges
        (2.0,)
        """
        return self if self.edges is None else replace(self, edges=self.edges[step - 1 :: step])

    def between(self, first: int, last: int) -> str:
        """Words for neighbouring bins, from one code to another.

        >>> Bins(Column("x", "double"), edges=(1.0, 2.0, 3.0)).between(1, 2)
        'between 1 and 3'
        """
        words = self.words
        if self.edges is None:
            alone = first == last
            return f"at {words[first]}" if alone else f"from {words[first]} to {words[last]}"
        ends = edge_words(self.edges)
        if first == 0:
            return f"up to {ends[last]}"
        if last == len(ends):
            return f"above {ends[first - 1]}"
        if ends[first - 1] == ends[last]:
            return f"at {ends[last]}"
        return f"between {ends[first - 1]} and {ends[last]}"

    @property
    def sql(self) -> str:
        """DuckDB's expression of a value's code."""
        name = quoted(self.column.name)
        if self.edges is None:
            cases = [
                f"WHEN {name} = {literal(value)} THEN {i}" for i, value in enumerate(self.values)
            ]
            gone = f"{name} IS NULL"
            if self.column.type == "double":
                gone = f"{finite(self.column)} IS NULL"
            last = len(self.values)
            return f"CASE WHEN {gone} THEN {last + 1} {' '.join(cases)} ELSE {last} END"
        steps = [f"WHEN {name} <= {literal(edge)} THEN {i}" for i, edge in enumerate(self.edges)]
        last = len(self.edges)
        gone = f"WHEN {finite(self.column)} IS NULL THEN {last + 1}"
        return f"CASE {gone} {' '.join(steps)} ELSE {last} END"


def bins_of(
    column: Column, values: np.ndarray, recorded: Sequence[float] | None, are_all: bool
) -> Bins:
    """The bins of a number's finite values.

    Args:
        column: a number.
        values: its finite values, or some of them.
        recorded: the edges of the metrics on record, if there are some.
        are_all: whether there are no other values.
    """
    distinct = np.unique(values)
    if len(distinct) <= SINGLE:
        whole = column.type != "double"
        own = tuple(int(value) if whole else float(value) for value in distinct)
        return Bins(column, values=own, rest=not are_all or not own)
    edges = tuple(recorded) if recorded else quantile_edges(values, MOST)
    low, high = np.quantile(values, _DRAWN).tolist()
    if low == high:
        low, high = float(distinct[0]), float(distinct[-1])
    return Bins(column, edges, (), low, high, bool(recorded))


def categories_of(column: Column, frequent: Sequence[Any], most: int = SINGLE) -> Bins:
    """The bins of a column's kinds.

    Args:
        column: of kinds.
        frequent: its values, the most frequent first.
        most: kinds at most that have a bin of their own.
    """
    kept = list(frequent[:most])
    declared = [value for value in column.values if value in kept]
    rest = [value for value in kept if value not in declared]
    others = len(frequent) > most or not frequent
    return Bins(column, values=(*declared, *sorted(rest, key=text_of)), rest=others)


def edge_words(edges: Sequence[float]) -> list[str]:
    """Edges with as many digits as tell them apart, four at least.

    The first of two neighbouring doubles is written as the second: nothing lies between them.

    >>> edge_words([1.0, 2.50001, 2.50002])
    ['1', '2.50001', '2.50002']
    """
    has_twin = len(edges) > 1 and np.nextafter(edges[0], np.inf) == edges[1]
    apart = list(edges[1:] if has_twin else edges)
    for digits in range(4, 18):
        words = [f"{edge:.{digits}g}" for edge in apart]
        if len(set(words)) == len(words):
            break
    return [words[0], *words] if has_twin else words


def quoted(name: str) -> str:
    """A name as SQL writes it, whatever stands in it.

    >>> quoted('a "b"')
    '"a ""b""\"'
    """
    return '"' + name.replace('"', '""') + '"'


def literal(value: Any) -> str:
    """A value as DuckDB's SQL writes it; a double by all its digits.

    >>> literal("it's"), literal(True), literal(2), literal(0.1)
    ("'it''s'", 'true', '2', '0.1e0')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        text = repr(value)
        return text if "e" in text else f"{text}e0"
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"


def finite(column: Column) -> str:
    """SQL of a number as a double; NULL where it is none, or not finite."""
    name = f"{quoted(column.name)}::DOUBLE"
    return f"CASE WHEN isfinite({name}) THEN {name} END"
