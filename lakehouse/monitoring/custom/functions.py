"""The functions of custom metrics: aggregates that hours can be summed of, and substitutes."""

from collections.abc import Mapping


def _by_name(names_by_reason: Mapping[str, str]) -> dict[str, str]:
    return {name: reason for reason, names in names_by_reason.items() for name in names.split()}


# An aggregate function, and the partials that it is made of: each an aggregate, and how two values
# of it merge.
ADDITIVE: Mapping[str, tuple[tuple[str, str], ...]] = {
    "sum": (("sum", "sum"),),
    "count": (("count", "sum"),),
    "count_if": (("count_if", "sum"),),
    "min": (("min", "min"),),
    "max": (("max", "max"),),
    "avg": (("sum", "sum"), ("count", "sum")),
    "mean": (("sum", "sum"), ("count", "sum")),
    "bool_or": (("max", "max"),),
    "any": (("max", "max"),),
    "some": (("max", "max"),),
    "bool_and": (("min", "min"),),
    "every": (("min", "min"),),
}

NOT_ADDITIVE = _by_name(
    {
        "read the column's own `median` and `quantiles`": """
            median percentile percentile_approx approx_percentile percentile_cont percentile_disc
            histogram_numeric""",
        "read the column's own `stddev`, or write avg(x * x) - avg(x) * avg(x) where the spread is "
        "not small": """
            std stddev stddev_samp stddev_pop skewness kurtosis variance var_samp var_pop""",
        "read the column's own `distinct_count`": "count_distinct approx_count_distinct",
        "read the column's own `frequent_items`, or count a value by count_if": """
            mode collect_list collect_set array_agg listagg string_agg""",
        "write it in terms of avg(x), avg(y), avg(x * y), avg(x * x) and avg(y * y)": """
            corr covar_samp covar_pop regr_slope regr_intercept regr_r2""",
        "write min or max of a number": """
            first first_value last last_value any_value max_by min_by""",
        "write sum, min or max": "bit_and bit_or bit_xor",
        "write sum": "try_sum",
        "write avg": "try_avg",
    }
)
"""Aggregate functions that cannot be summed, and what to do instead."""

FORBIDDEN = _by_name(
    {
        "gives another value whenever it is computed; write what the rows themselves tell": """
            now current_timestamp current_date current_time curdate localtimestamp
            unix_timestamp() rand random randn randstr uniform uuid shuffle
            monotonically_increasing_id spark_partition_id input_file_name""",
        "depends on who computes it; leave it out": "current_user session_user user",
        "runs code outside of SQL; leave it out": "reflect try_reflect java_method",
        "would stop the pipeline; give NULL instead": "raise_error assert_true",
        "makes windows; those of metrics.granularities are made already": """
            window session_window window_time""",
    }
)
"""Functions that Spark would let pass, and why no metric may use them."""
