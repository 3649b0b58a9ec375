"""The query that shows a node of lineage, in Spark's SQL, to be copied. Pure."""

import re


def sql_of(node: str) -> str:
    """A query that shows a node, by its id.

    >>> sql_of("silver.sensor_reading@80")
    'SELECT * FROM silver.sensor_reading VERSION AS OF 80'
    >>> sql_of("decision/2019-08-05/retrain")
    "SELECT * FROM gold.decision WHERE as_of = TIMESTAMP '2019-08-05' AND action = 'retrain'"
    """
    table = re.fullmatch(r"(\w+\.\w+)[@#](\d+)", node)
    if table:
        return f"SELECT * FROM {table[1]} VERSION AS OF {table[2]}"
    kind, _, rest = node.partition("/")
    if kind in ("window", "windows"):
        return f"SELECT * FROM gold.profile_metrics WHERE {_of_windows(rest)}"
    if kind == "decision":
        as_of, action = rest.split("/")
        return f"SELECT * FROM gold.decision WHERE as_of = {_time(as_of)} AND action = '{action}'"
    where = {
        "file": f"bronze.landed_file WHERE landed_file_id = {rest}",
        "run": f"gold.promotion WHERE run_id = '{rest}'",
        "model": f"gold.promotion WHERE to_version = '{rest}'",
        "promotion": f"gold.promotion_provenance WHERE promotion_id = '{node}'",
        "alert": f"gold.alert_event WHERE event_id = '{rest}'",
    }
    return f"SELECT * FROM {where[kind]}"


def _of_windows(rest: str) -> str:
    """One window, or those of a stretch; of a stretch from the first on, all until its end."""
    granularity, _, span = rest.partition("/")
    of, (first, _, end) = f"granularity = '{granularity}' AND window.start", span.partition("..")
    if not end:
        return f"{of} = {_time(first)}"
    until = f"{of} < {_time(end)}"
    return until if first == "first" else f"{until} AND window.end > {_time(first)}"


def _time(text: str) -> str:
    return f"TIMESTAMP '{text.replace('T', ' ')}'"
