"""When a column has drifted: the one definition, in Python for decisions and in SQL for views."""

LARGE = 0.2
"""Least index of a drift: the population stability index of a numeric column (by the usual reading
0.1 is moderate, 0.2 significant), the total variation distance of a categorical one."""

UNLIKELY = 0.001
"""A drift's p-value is below this, adjusted for the number of columns tested at once."""


def has_drifted(index: float, pvalue: float) -> bool:
    """Return whether a column has drifted, by size and by test (see the thresholds above)."""
    return index >= LARGE and pvalue < UNLIKELY


def index_sql(row: str) -> str:
    """SQL of the index, of a row of gold.drift_metrics."""
    return f"COALESCE({row}.population_stability_index, {row}.tv_distance)"


def has_drifted_sql(row: str) -> str:
    """SQL of the same for a row of gold.drift_metrics."""
    return f"{index_sql(row)} >= {LARGE} AND {row}.adjusted_pvalue < {UNLIKELY}"
