"""The additive facts of one column, by the same code for an hour, a week or a training."""

import base64
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial, reduce
from typing import Any, TypeVar

from lakehouse.profiling.cells import number_facts, text_facts
from lakehouse.profiling.columns import MAX_ITEMS, Cells, ColumnSpec, counted, items_of, read_column
from lakehouse.profiling.moments import NO_MOMENTS, Moments
from lakehouse.profiling.sketches import (
    WINDOW_VALUES,
    counts_in_bins,
    distinct_count,
    merged_distinct,
    merged_quantiles,
    quantiles,
)

__all__ = ["ColumnProfile", "ColumnSpec", "statistics_of"]

MAX_FREQUENT_ITEMS = 100
SKETCHES = ("quantile_sketch", "distinct_sketch")

Fact = TypeVar("Fact")


@dataclass(frozen=True)
class ColumnProfile:
    """What is known of one column's values; profiles of parts merge to the profile of the whole.

    Grain: one column of any set of rows. Columns of type string have lengths (in characters) and no
    numbers; all
    others have numbers (booleans as 0 and 1, timestamps as epoch seconds) and no lengths.

    Attributes:
        spec: The column.
        count: Non-null values, NaN among them.
        num_nulls: Null cells.
        num_nan: NaN values; they and infinities are in no other number's fact.
        num_zeros: Values equal to zero (false, for booleans).
        moments: Count, mean and squared deviations of the finite values.
        min: Smallest finite value.
        max: Largest finite value.
        bin_edges: Edges of the baseline's bins; None where not asked for or categorical.
        bin_counts: Finite values per bin.
        items: How often each value occurs, by its text, in categorical columns; None in numeric
            ones, and None for good once more than MAX_ITEMS values were seen, whatever the order of
            merging.
        quantile_sketch: Serialized summary of the finite values.
        distinct_sketch: Serialized theta sketch of the non-null values.
        min_length: Characters of the shortest text.
        max_length: Characters of the longest text.
        total_length: Characters of all texts.
    """

    spec: ColumnSpec
    count: int
    num_nulls: int
    distinct_sketch: bytes
    items: dict[str, int] | None = None
    num_nan: int = 0
    num_zeros: int = 0
    moments: Moments = NO_MOMENTS
    min: float | None = None
    max: float | None = None
    bin_edges: tuple[float, ...] | None = None
    bin_counts: tuple[int, ...] | None = None
    quantile_sketch: bytes | None = None
    min_length: int | None = None
    max_length: int | None = None
    total_length: int | None = None

    @classmethod
    def of(
        cls,
        values: Cells,
        spec: ColumnSpec,
        edges: tuple[float, ...] | None = None,
        kept: int = WINDOW_VALUES,
    ) -> "ColumnProfile":
        """The profile of a column's cells; a numeric column is counted in the bins of `edges`.

        Quantiles are exact up to `kept` distinct numbers.

        Raises:
            ValueError: A cell that the declared type cannot hold.
        """
        column = read_column(values, spec.data_type)
        cells = column.drop_null() if column.null_count else column
        counts = counted(cells) if spec.is_categorical else None
        return cls(
            spec=spec,
            count=len(cells),
            num_nulls=column.null_count,
            items=None if counts is None else items_of(counts),
            **(
                text_facts(counts)
                if spec.is_text
                else number_facts(cells, None if spec.is_categorical else edges, kept)
            ),
        )

    @property
    def rows(self) -> int:
        """Cells, null or not."""
        return self.count + self.num_nulls

    @property
    def distinct_count(self) -> int:
        """Distinct non-null values: exact up to 4096, with a standard error of 1.6 % beyond."""
        return min(distinct_count(self.distinct_sketch), self.count)

    @property
    def avg(self) -> float | None:
        """The mean of the finite values; None where there are none."""
        return self.moments.mean + self.moments.mean_rest if self.moments.n else None

    def percent(self, part: int) -> float | None:
        """A part of all rows in percent; None where there are no rows."""
        return 100 * part / self.rows if self.rows else None

    def merge(self, *others: "ColumnProfile") -> "ColumnProfile":
        """The profile of all sets of rows together; a profile of no rows changes nothing.

        A month of small windows is cheaper merged in one call than pair by pair.

        Raises:
            ValueError: The profiles are of different columns, or counted in different bins.
        """
        for other in others:
            if self.spec != other.spec:
                raise ValueError(
                    f"Profiles of different columns cannot be merged: {self.spec} and {other.spec}."
                )
        parts = [part for part in (self, *others) if part.rows]
        if len(parts) < 2:
            return parts[0] if parts else self
        sketches = [part.quantile_sketch for part in parts if part.quantile_sketch is not None]
        return replace(
            parts[0],
            count=sum(part.count for part in parts),
            num_nulls=sum(part.num_nulls for part in parts),
            num_nan=sum(part.num_nan for part in parts),
            num_zeros=sum(part.num_zeros for part in parts),
            moments=reduce(Moments.merge, (part.moments for part in parts)),
            min=_of_known(min, (part.min for part in parts)),
            max=_of_known(max, (part.max for part in parts)),
            bin_counts=_merged_bins(parts),
            items=_merged_items([part.items for part in parts]),
            quantile_sketch=merged_quantiles(*sketches) if sketches else None,
            distinct_sketch=merged_distinct(*(part.distinct_sketch for part in parts)),
            min_length=_of_known(min, (part.min_length for part in parts)),
            max_length=_of_known(max, (part.max_length for part in parts)),
            total_length=_of_known(sum, (part.total_length for part in parts)),
        )

    def rebinned(self, edges: Iterable[float]) -> "ColumnProfile":
        """The profile with its finite values counted in other bins, by its quantile sketch.

        Exact where the sketch is; beyond, values of a bucket that an edge lies in are shared out
        evenly.

        Raises:
            ValueError: The column is categorical, which has no bins.
        """
        if self.spec.is_categorical or self.quantile_sketch is None:
            raise ValueError(
                f"Column {self.spec.name!r} is categorical: its values are counted one by one, not "
                "in bins."
            )
        inner = tuple(map(float, edges))
        if inner == self.bin_edges:
            return self
        counts = counts_in_bins(self.quantile_sketch, self.moments.n, inner)
        return replace(self, bin_edges=inner, bin_counts=counts)

    def to_row(self) -> dict[str, Any]:
        """The profile as plain values, for a Spark struct of the same field names."""
        row = {name: value for name, value in vars(self).items() if name not in ("spec", "moments")}
        return {
            **vars(self.spec),
            **row,
            "num_finite": self.moments.n,
            "mean": self.moments.mean,
            "mean_rest": self.moments.mean_rest,
            "m2": self.moments.m2,
            "bin_edges": _where_given(list, self.bin_edges),
            "bin_counts": _where_given(list, self.bin_counts),
            "items": _where_given(dict, self.items),
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "ColumnProfile":
        """The inverse of `to_row`; takes any engine's containers and ignores other fields."""
        spec = ColumnSpec(row["name"], row["data_type"], row["kind"])
        moments = Moments(*(row[name] for name in ("num_finite", "mean", "mean_rest", "m2")))
        facts = {
            field.name: row[field.name]
            for field in fields(cls)
            if field.name not in ("spec", "moments")
        }
        containers: dict[str, Callable[[Any], Any]] = {
            "bin_edges": lambda edges: tuple(map(float, edges)),
            "bin_counts": lambda counts: tuple(map(int, counts)),
            "items": dict,
        }
        for name, container in {**containers, **dict.fromkeys(SKETCHES, bytes)}.items():
            facts[name] = _where_given(container, facts[name])
        return cls(spec=spec, moments=moments, **facts)

    def to_json(self) -> dict[str, Any]:
        """The row in values that JSON can hold, as docs/profile-format.md describes them."""
        row = self.to_row()
        sketches = {
            name: _where_given(lambda sketch: base64.b64encode(sketch).decode(), row[name])
            for name in SKETCHES
        }
        return {**row, **sketches, "m2": row["m2"] if math.isfinite(row["m2"]) else None}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "ColumnProfile":
        """The profile that `to_json` wrote."""
        decode = partial(base64.b64decode, validate=True)
        sketches = {name: _where_given(decode, document[name]) for name in SKETCHES}
        m2 = math.inf if document["m2"] is None else document["m2"]
        return cls.from_row({**document, **sketches, "m2": m2})


def statistics_of(profile: ColumnProfile) -> dict[str, Any]:
    """The columns of `profile_metrics` that describe one column, by name.

    A statistic that does not apply to the column's type, or that has no value to be computed from,
    is None. Shares are in percent of all rows, nulls included; `stddev` is the sample's (n - 1);
    `quantiles` are 1000 and `median` is their element 500, with the error of the sketch (see
    sketches.quantiles).
    """
    distinct = profile.distinct_count
    return {
        "count": profile.count,
        "num_nulls": profile.num_nulls,
        "distinct_count": distinct,
        "percent_null": profile.percent(profile.num_nulls),
        "percent_distinct": profile.percent(distinct),
        **_number_statistics(profile),
        **_length_statistics(profile),
        "frequent_items": _frequent_items(profile),
    }


def _number_statistics(profile: ColumnProfile) -> dict[str, Any]:
    numeric = not profile.spec.is_text
    ranked = quantiles(profile.quantile_sketch).tolist() if profile.quantile_sketch else []
    return {
        "num_zeros": profile.num_zeros if numeric else None,
        "num_nan": profile.num_nan if numeric else None,
        "percent_zeros": profile.percent(profile.num_zeros) if numeric else None,
        "percent_nan": profile.percent(profile.num_nan) if numeric else None,
        "avg": profile.avg,
        "stddev": profile.moments.stddev,
        "min": profile.min,
        "max": profile.max,
        "median": ranked[len(ranked) // 2] if ranked else None,
        "quantiles": ranked or None,
    }


def _length_statistics(profile: ColumnProfile) -> dict[str, float | None]:
    measured = profile.spec.is_text and profile.count
    return {
        "min_length": _where_given(float, profile.min_length),
        "max_length": _where_given(float, profile.max_length),
        "avg_length": (profile.total_length or 0) / profile.count if measured else None,
    }


def _frequent_items(profile: ColumnProfile) -> list[dict[str, Any]] | None:
    if profile.items is None:
        return None
    ranked = sorted(profile.items.items(), key=lambda pair: (-pair[1], pair[0]))
    return [{"item": item, "count": count} for item, count in ranked[:MAX_FREQUENT_ITEMS]]


def _merged_bins(parts: Sequence[ColumnProfile]) -> tuple[int, ...] | None:
    if any(part.bin_edges != parts[0].bin_edges for part in parts):
        raise ValueError(
            f"Profiles of column {parts[0].spec.name!r} count in different bins and cannot be "
            "merged: profile all with the same edges, those of one baseline."
        )
    counts = [part.bin_counts for part in parts if part.bin_counts is not None]
    return tuple(map(sum, zip(*counts, strict=True))) if counts else None


def _merged_items(parts: Sequence[dict[str, int] | None]) -> dict[str, int] | None:
    items: Counter[str] = Counter()
    for part in parts:
        if part is None:
            return None
        items.update(part)
    return dict(items) if len(items) <= MAX_ITEMS else None


def _of_known(combine: Callable[[list[Fact]], Fact], facts: Iterable[Fact | None]) -> Fact | None:
    """Those that are known combined; None where none is."""
    known = [fact for fact in facts if fact is not None]
    return combine(known) if known else None


def _where_given(convert: Callable[[Any], Any], value: Any) -> Any:
    return None if value is None else convert(value)
