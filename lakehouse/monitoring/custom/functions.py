"""The functions of custom metrics: aggregates that hours can be summed of, and substitutes."""

from collections.abc import Mapping

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

_QUANTILE = "read the column's own `median` and `quantiles`"
_SPREAD = (
    "read the column's own `stddev`, or write avg(x * x) - avg(x) * avg(x) where the spread is not "
    "small"
)
_DISTINCT = "read the column's own `distinct_count`"
_ITEMS = "read the column's own `frequent_items`, or count a value by count_if"
_PAIRS = "write it in terms of avg(x), avg(y), avg(x * y), avg(x * x) and avg(y * y)"
_ORDER = "write min or max of a number"
_BITS = "write sum, min or max"

# Aggregate functions that cannot be summed, and what to do instead.
NOT_ADDITIVE: Mapping[str, str] = {
    **dict.fromkeys(("median", "percentile", "percentile_approx", "approx_percentile"), _QUANTILE),
    **dict.fromkeys(("percentile_cont", "percentile_disc", "histogram_numeric"), _QUANTILE),
    **dict.fromkeys(
        ("std", "stddev", "stddev_samp", "stddev_pop", "skewness", "kurtosis"), _SPREAD
    ),
    **dict.fromkeys(("variance", "var_samp", "var_pop"), _SPREAD),
    **dict.fromkeys(("count_distinct", "approx_count_distinct"), _DISTINCT),
    **dict.fromkeys(
        ("mode", "collect_list", "collect_set", "array_agg", "listagg", "string_agg"), _ITEMS
    ),
    **dict.fromkeys(
        ("corr", "covar_samp", "covar_pop", "regr_slope", "regr_intercept", "regr_r2"), _PAIRS
    ),
    **dict.fromkeys(
        ("first", "first_value", "last", "last_value", "any_value", "max_by", "min_by"), _ORDER
    ),
    **dict.fromkeys(("bit_and", "bit_or", "bit_xor"), _BITS),
    "try_sum": "write sum",
    "try_avg": "write avg",
}

_REPLAYED = "gives another value whenever it is computed; write what the rows themselves tell"
_WINDOWS = "makes windows; those of metrics.granularities are made already"

# Functions that Spark would let pass, and why no metric may use them.
FORBIDDEN: Mapping[str, str] = {
    **dict.fromkeys(
        ("now", "current_timestamp", "current_date", "current_time", "curdate"), _REPLAYED
    ),
    **dict.fromkeys(("localtimestamp", "unix_timestamp()"), _REPLAYED),
    **dict.fromkeys(
        ("rand", "random", "randn", "randstr", "uniform", "uuid", "shuffle"), _REPLAYED
    ),
    **dict.fromkeys(
        ("monotonically_increasing_id", "spark_partition_id", "input_file_name"), _REPLAYED
    ),
    **dict.fromkeys(
        ("current_user", "session_user", "user"), "depends on who computes it; leave it out"
    ),
    **dict.fromkeys(("raise_error", "assert_true"), "would stop the pipeline; give NULL instead"),
    **dict.fromkeys(("window", "session_window", "window_time"), _WINDOWS),
}
