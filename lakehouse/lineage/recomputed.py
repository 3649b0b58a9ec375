"""Predictions of a micro-batch and figures of a window, computed anew from silver's rows."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.explain.rows import PlainRows
from lakehouse.explain.versions import Version
from lakehouse.instants import ARROW_MOMENT
from lakehouse.labels.label_batch import latest_labels
from lakehouse.models import Regression, problem_of
from lakehouse.settings import ModelSettings
from lakehouse.settings.reserved import PREDICTION
from lakehouse.storage.plain_tables import Row, read_at
from lakehouse.tables import Table, catalog_of

CLOSE = 1e-12
"""Numbers whose ratio is nearer to one differ by rounding alone."""
_ROWS_AT_ONCE = 250_000


Read = Callable[[Table, int | None, list[str], pc.Expression], pa.Table]
"""Columns of a table at a version (None: the newest), of the rows that an expression holds for."""


def differing_predictions(
    read: Read, of_silver: PlainRows, commit: Row, ledger: Row, versions: Sequence[Version]
) -> str:
    """How a micro-batch's predictions differ from what its versions predict; empty if they do not.

    Args:
        read: reads a table of the lakehouse.
        of_silver: tells a version's features of readings.
        commit: row of `gold.table_commit` that added the predictions.
        ledger: row of `silver.scoring_ledger` of the micro-batch.
        versions: that scored it: the champion, and the challenger where a rollout ran.

    Raises:
        StoreError: the table is gone at a version that is on record.
    """
    catalog, key = catalog_of(of_silver.model), of_silver.model.key
    query_id, number = commit["query_id"], commit["batch_id"]
    is_of_batch = (pc.field("query_id") == query_id) & (pc.field("batch_id") == number)
    keys = read(catalog.predictions, commit["version"], [key], is_of_batch)[key]
    if not len(keys):
        return f"none of the {commit['rows']:,} rows is there"
    if len(keys) != commit["rows"]:
        return f"it has {len(keys):,} rows, on record are {commit['rows']:,}"
    at = dict(ledger["table_versions"] or ()).get(catalog.readings.full_name)
    names = [column.name for column in catalog.readings.columns]
    columns = [key, PREDICTION, "model_version"]
    different: dict[str, list[int | str]] = {version.number: [] for version in versions}
    for part in _parts_of(key, keys):
        where = is_of_batch & part
        made = read(catalog.predictions, commit["version"], columns, where).to_pandas()
        readings = read(catalog.readings, at, names, part).to_pandas()
        for version in versions:
            own = made[made["model_version"] == version.number].drop(columns="model_version")
            different[version.number] += _differing_keys(own, readings, of_silver, version)
    return "; ".join(
        f"version {number} predicts otherwise for {len(own):,} of {len(keys):,} "
        f"readings; the first is {key} {own[0]}"
        for number, own in different.items()
        if own
    )


def _differing_keys(
    made: pd.DataFrame, readings: pd.DataFrame, of_silver: PlainRows, version: Version
) -> list[int | str]:
    """Keys of predictions that the version does not make of their readings."""
    if not len(made):
        return []
    key, problem = of_silver.model.key, version.meaning.problem
    rows = made.merge(readings, on=key, how="left")
    outputs = problem.outputs(version.pipeline, of_silver.features(version, rows))
    found = problem.columns(outputs)[PREDICTION]
    return list(rows[key][~_alike(rows[PREDICTION].to_numpy(), np.asarray(found))])


def _parts_of(key: str, keys: pa.ChunkedArray) -> Iterator[pc.Expression]:
    """Conditions on the key that take the rows part by part: a backfill need not fit in memory."""
    ranked = pc.sort_indices(keys)
    for start in range(0, len(keys), _ROWS_AT_ONCE):
        last = min(start + _ROWS_AT_ONCE, len(keys)) - 1
        yield _between(key, keys[ranked[start].as_py()], keys[ranked[last].as_py()])


def figures_of(root: str, model: ModelSettings, window: Row) -> dict[str, float]:
    """Rows, labelled rows and accuracy of a window's row of gold.profile_metrics, computed anew."""
    catalog, key, time = catalog_of(model), model.key, pc.field(model.event_time)
    at = dict(window["as_of_version"])
    start, end = (pa.scalar(window["window"][name], ARROW_MOMENT) for name in ("start", "end"))
    within = (time >= start) & (time < end)
    of = catalog.predictions
    made = read_at(root, of, at[of.full_name], [key, model.event_time, PREDICTION], within)
    columns = [key, model.labels.time, model.labels.label, "landed_file_id", "line"]
    if not len(made):
        return {"rows": 0, "labelled": 0, "accuracy": np.nan}
    near = _between(key, *pc.min_max(made[key]).values())
    labels = read_at(root, catalog.labels, at[catalog.labels.full_name], columns, near)
    rows = made.to_pandas().merge(latest_labels(labels, model).to_pandas(), on=key)
    if not len(rows):
        return {"rows": len(made), "labelled": 0, "accuracy": np.nan}
    predicted, told = rows[PREDICTION].to_numpy(), rows[model.labels.label].to_numpy()
    problem = problem_of(model)
    is_number = isinstance(problem, Regression)
    right = problem.is_right(predicted, told) if is_number else predicted == told
    return {"rows": len(made), "labelled": len(rows), "accuracy": float(right.mean())}


def _between(column: str, least: pa.Scalar, greatest: pa.Scalar) -> pc.Expression:
    """The rows whose value lies between two, both included: files are skipped by them."""
    return (pc.field(column) >= least) & (pc.field(column) <= greatest)


def _alike(recorded: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Which predictions are the same: numbers but for rounding, classes exactly."""
    if found.dtype.kind == "f":
        return np.isclose(recorded.astype(float), found, rtol=CLOSE, atol=0, equal_nan=True)
    return np.asarray(recorded == found)
