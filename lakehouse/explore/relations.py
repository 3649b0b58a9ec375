"""What columns have to do with `by`, with each other, and with another span."""

from collections.abc import Iterable, Mapping
from functools import reduce
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa

from lakehouse.dashboard.rows import Answer, Row
from lakehouse.drift.comparison import drift_of, main_pvalue
from lakehouse.drift.definition import has_drifted
from lakehouse.drift.two_samples import adjusted_pvalues
from lakehouse.explore import asks
from lakehouse.explore.bins import Bins
from lakehouse.explore.measures import cramers_v, entropy, joint, mutual_information
from lakehouse.explore.queries import Plan, whole
from lakehouse.explore.subject import Column
from lakehouse.profiling.bins import quantile_edges
from lakehouse.profiling.columns import ColumnSpec, DataType
from lakehouse.profiling.profile import ColumnProfile

_TOLD = ("span", "column_name", "n_rows", "cramers_v", "information", "correlation")
_BETWEEN = ("span", "x", "y", "cramers_v", "correlation")
_MOVED = (
    "column_name",
    "drift_index",
    "adjusted_pvalue",
    "has_drifted",
    "ks_statistic",
    "wasserstein_distance",
    "js_distance",
    "avg_delta",
    "percent_null_delta",
)
Correlations = Mapping[tuple[str, str, str], float | None]


def correlations_of(rows: Iterable[Row]) -> Correlations:
    """Pearson's correlation by span and two columns, in either order."""
    known = {(row["span"], row["x"], row["y"]): row["correlation"] for row in rows}
    return known | {(span, y, x): value for (span, x, y), value in known.items()}


def told(plan: Plan, sql: str, codes: pa.Table, correlations: Correlations) -> Answer:
    """How much each column tells of `by`, the most telling first.

    Args:
        plan: of the query.
        sql: that gave the codes.
        codes: `_span`, `_by`, and the bin of each column, a row a row.
        correlations: of numbers.
    """
    subject = plan.subject
    rows: list[Row] = []
    for place, span in enumerate(plan.spans, 1):
        own = _known(codes, place, plan.of(subject.by.name).size)
        found: list[Row] = []
        for column in subject.columns:
            counts = joint(own[column.name], own["_by"])
            whole_entropy = entropy(counts.sum(axis=0)) if counts.sum() else 0.0
            information = mutual_information(counts)
            found.append(
                {
                    "span": str(span),
                    "column_name": column.name,
                    "n_rows": int(counts.sum()),
                    "cramers_v": cramers_v(counts),
                    "information": information / whole_entropy if whole_entropy else 0.0,
                    "correlation": correlations.get((str(span), column.name, subject.by.name)),
                }
            )
        rows += sorted(found, key=_by_strength)
    return Answer(whole(plan, sql, subject.all_columns), _TOLD, tuple(rows))


def between(plan: Plan, sql: str, codes: pa.Table, correlations: Correlations) -> Answer:
    """How much each two columns have to do with each other, the closest first."""
    rows: list[Row] = []
    for place, span in enumerate(plan.spans, 1):
        own = _known(codes, place, None)
        found: list[Row] = [
            {
                "span": str(span),
                "x": x.name,
                "y": y.name,
                "cramers_v": cramers_v(joint(own[x.name], own[y.name])),
                "correlation": correlations.get((str(span), x.name, y.name)),
            }
            for x, y in combinations(plan.subject.columns, 2)
        ]
        rows += sorted(found, key=_by_strength)
    return Answer(whole(plan, sql, plan.subject.all_columns), _BETWEEN, tuple(rows))


def moved(plan: Plan, profiles: Mapping[str, tuple[ColumnProfile, ColumnProfile]]) -> Answer:
    """How far each column has moved from the second span to the first, the farthest first.

    Args:
        plan: of the queries.
        profiles: of each column, in the first and in the second span.
    """
    drifts = {name: drift_of(*own) for name, own in profiles.items()}
    pvalues = adjusted_pvalues([main_pvalue(drift) for drift in drifts.values()])
    rows = [_moved(*each) for each in zip(drifts, drifts.values(), pvalues, strict=True)]
    rows.sort(key=lambda row: -(row["drift_index"] or 0.0))
    columns = plan.subject.all_columns
    return Answer(whole(plan, asks.values(plan, columns), columns), _MOVED, tuple(rows))


def spec_of(column: Column) -> ColumnSpec:
    """The column as profiles know it."""
    kind: DataType = column.type  # type: ignore[assignment]
    return ColumnSpec(column.name, kind, "categorical" if column.is_category else "numeric")


def profile_of(bins: Bins, parts: Iterable[pa.Array]) -> ColumnProfile:
    """The profile of a column's values, read part by part."""
    spec, edges = spec_of(bins.column), bins.edges
    if edges is None and not bins.column.is_category:
        edges = quantile_edges(np.array(bins.values, dtype=np.float64))
    profiles = [ColumnProfile.of(part, spec, edges) for part in parts]
    nothing = ColumnProfile.of(pa.array([], pa.null()), spec, edges)
    return reduce(ColumnProfile.merge, profiles, nothing)


def _known(codes: pa.Table, span: int, missing: int | None) -> dict[str, np.ndarray]:
    """The codes of one span, by column; only of rows whose `by` is known, if that is asked for."""
    own = {name: codes[name].to_numpy() for name in codes.column_names}
    kept = own["_span"] == span
    if missing is not None:
        kept &= own["_by"] != missing
    return {name: values[kept] for name, values in own.items()}


def _by_strength(row: Row) -> float:
    """The closest first; columns alike stay in the order of the settings."""
    return -float(row["cramers_v"])


def _moved(name: str, drift: Mapping[str, Any], pvalue: float | None) -> dict[str, Any]:
    index = drift["population_stability_index"]
    index = drift["tv_distance"] if index is None else index
    test = drift["ks_test"]
    return {
        "column_name": name,
        "drift_index": index,
        "adjusted_pvalue": pvalue,
        "has_drifted": None if index is None or pvalue is None else has_drifted(index, pvalue),
        "ks_statistic": test["statistic"] if test else None,
        **{key: drift[key] for key in _MOVED[5:]},
    }
