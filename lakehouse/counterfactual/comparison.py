"""The counterfactual: what would have been right, had nothing ever been trained again, or something
every day.
"""

import datetime as dt
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc
from threadpoolctl import threadpool_limits

from lakehouse.calendar import DAY, midnight
from lakehouse.counterfactual.daily import known_at, retrained_daily
from lakehouse.instants import instant
from lakehouse.labels.labelled_rows import LABEL_TIME, labelled_between
from lakehouse.models import MatrixLearner, features_of, grid, problem_of
from lakehouse.quality.facts import quality_from_row
from lakehouse.retraining.policy.history import History
from lakehouse.retraining.promoted_models import LabelledFrame, PromotedModels
from lakehouse.settings.reserved import PREDICTION
from lakehouse.storage.delta_log import days_written
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.partitions import on_days
from lakehouse.storage.store import Row
from lakehouse.versions.ledger import PromotionLedger

NEVER, DAILY = "never", "daily"
_DAYS_AT_ONCE = 31
_FACTS_VERSION = re.compile(r"facts of version (\d+)")


@dataclass(frozen=True)
class Judged:
    """A day's labelled predictions in base windows that no model was trained on.

    Attributes:
        windows: start and model version of each such window.
        n_labelled: predictions whose label has come.
        n_right: those of them that production got right.
        n_right_of_first: those that the first promoted model gets right; None where that is not
            known.
    """

    windows: frozenset[tuple[dt.datetime, str]]
    n_labelled: int
    n_right: int
    n_right_of_first: int | None

    @classmethod
    def of(cls, facts: Iterable[Row]) -> "Judged":
        """Sum rows of gold.window_facts: those of one day, without slices."""
        own = [row for row in facts if not row["n_in_training"]]
        qualities = [quality_from_row(row["quality"]) for row in own]
        first = [each.n_right_without_retraining for each in qualities]
        known = [each for each in first if each is not None]
        return cls(
            windows=frozenset((row["window_start"], row["model_version"]) for row in own),
            n_labelled=sum(each.n_labelled for each in qualities),
            n_right=sum(each.n_right for each in qualities),
            n_right_of_first=sum(known) if len(known) == len(first) else None,
        )


def compare_with_alternatives(lakehouse: Lakehouse, days: Sequence[dt.date] = ()) -> None:
    """Bring `gold.counterfactual` up to date with the facts, day by day, each overwritten whole.

    Days are looked at whose facts were written since the last run; computed are those whose
    labelled rows, or what the first model got right of them, are others than on record.

    Args:
        lakehouse: whose predictions are compared.
        days: to compute whatever is on record, in place of those.
    """
    store, facts = lakehouse.store, lakehouse.catalog.window_facts
    with store.writing(lakehouse.catalog.counterfactual):
        version = store.version(facts)
        looked_at = sorted(days or _days_to_look_at(lakehouse, version))
        for start in range(0, len(looked_at), _DAYS_AT_ONCE):
            _compare(lakehouse, looked_at[start : start + _DAYS_AT_ONCE], version, bool(days))


def _days_to_look_at(lakehouse: Lakehouse, version: int) -> frozenset[dt.date]:
    """Those whose facts were written since the run that wrote last; all days where the log does not
    tell.
    """
    store, facts = lakehouse.store, lakehouse.catalog.window_facts
    known = _FACTS_VERSION.fullmatch(store.why_written(lakehouse.catalog.counterfactual))
    days = days_written(store.path(facts), int(known[1]), version) if known else None
    return store.days(facts) if days is None else days


def _compare(lakehouse: Lakehouse, days: Sequence[dt.date], version: int, anew: bool) -> None:
    whole = pc.field("slice_key").is_null()
    columns = ["window_start", "model_version", "n_in_training", "quality", "as_of", "window_date"]
    rows = lakehouse.store.rows(lakehouse.catalog.window_facts, whole, columns, on_days(days))
    as_of = max((row["as_of"] for row in rows if row["as_of"]), default=None)
    by_day: dict[dt.date, list[Row]] = {}
    for row in rows:
        by_day.setdefault(row["window_date"], []).append(row)
    judged = {day: Judged.of(each) for day, each in by_day.items()}
    judged = {day: each for day, each in judged.items() if each.n_labelled}
    if as_of is None or not judged:
        return
    recorded = {} if anew else _recorded(lakehouse, judged)
    found: list[Row] = []
    for day, each in sorted(judged.items()):
        if recorded.get(day) != ({each.n_labelled}, each.n_right_of_first):
            found += _rows_of(lakehouse, day, each, as_of)
    if found:
        lakehouse.store.replace_partitions(
            found, lakehouse.catalog.counterfactual, f"facts of version {version}"
        )


def _recorded(
    lakehouse: Lakehouse, days: Iterable[dt.date]
) -> dict[dt.date, tuple[set[int], int | None]]:
    """Of each day, how many labelled predictions its rows count (all the same), and what the first
    model got right.
    """
    rows = lakehouse.store.rows(lakehouse.catalog.counterfactual, partitions=on_days(days))
    labelled: dict[dt.date, set[int]] = {}
    for row in rows:
        labelled.setdefault(row["window_date"], set()).add(row["n_labelled"])
    first = {
        row["window_date"]: row["n_right_otherwise"] for row in rows if row["alternative"] == NEVER
    }
    return {day: (counts, first.get(day)) for day, counts in labelled.items()}


def _rows_of(lakehouse: Lakehouse, day: dt.date, judged: Judged, as_of: dt.datetime) -> list[Row]:
    common = {
        "window_date": day,
        "n_labelled": judged.n_labelled,
        "n_right": judged.n_right,
        "as_of": as_of,
    }
    none = {"trainings": 0, "trained_rows": 0, "training_seconds": 0.0}
    never = common | none | {"alternative": NEVER, "n_right_otherwise": judged.n_right_of_first}
    if not lakehouse.model.counterfactual.daily:
        return [never]
    if (
        judged.n_labelled > lakehouse.model.training.max_rows
    ):  # the rows of its days would be too many for the driver
        return [never, never | {"alternative": DAILY, "n_right_otherwise": None}]
    return [never, never | {"alternative": DAILY} | _daily(lakehouse, day, judged, as_of)]


def _daily(
    lakehouse: Lakehouse, day: dt.date, judged: Judged, as_of: dt.datetime
) -> dict[str, Any]:
    """Return what a model gets right that was trained at the day's midnight, and what production
    did on the same rows.

    Empty where too few labels had come by then for a first training: till then the first model is
    all there is.
    """
    model, models = lakehouse.model, PromotedModels(PromotionLedger(lakehouse))
    predictions = _predictions_until(models, as_of, day, judged.n_labelled)
    start = instant(midnight(day))
    if not len(predictions):
        return {}
    rows, window = (
        LabelledFrame(models, predictions, History()).rows,
        np.timedelta64(model.counterfactual.window),
    )
    taken = known_at(rows, start, window, model.training.first_after, model.training.max_rows)
    if taken.sum() < model.training.first_after:
        return {}
    learner = MatrixLearner(
        grid([""], model.training.families)[0], problem_of(model), model.training.seed
    )
    began = time.perf_counter()
    with threadpool_limits(1, user_api="openmp"):
        found = retrained_daily(rows, start, taken, learner)
    seconds = time.perf_counter() - began
    asked = rows.event_time >= start
    counted = _is_judged(predictions[asked], judged, model.metrics.base_window, model.event_time)
    known, in_production = (
        rows.take(asked),
        models.problem.targets(predictions.loc[asked, PREDICTION]),
    )
    return {
        "n_labelled": int(counted.sum()),
        "n_right": int((counted & ~known.wrong(in_production)).sum()),
        "n_right_otherwise": int((counted & ~known.wrong(found.predictions)).sum()),
        "trainings": 1,
        "trained_rows": found.trained_rows,
        "training_seconds": round(seconds, 4),
    }


def _predictions_until(
    models: PromotedModels, as_of: dt.datetime, day: dt.date, n_labelled: int
) -> pd.DataFrame:
    """The labelled predictions up to the day's end, from as far back as a training at its midnight
    may reach.

    Args:
        models: that predicted.
        as_of: newest label time that counts.
        day: that the training predicts.
        n_labelled: labelled predictions of that day that are compared: a guess at how many each of
            the days before has.
    """
    model, start = models.lakehouse.model, midnight(day)
    sliding, training = model.counterfactual.window, model.training
    taken = DAY * min(sliding / DAY, training.max_rows / n_labelled)
    back = taken + model.labels.horizon + DAY
    while True:
        predictions = labelled_between(
            models.ledger, features_of(model), as_of, start - back, start + DAY
        )
        times = predictions[model.event_time]
        known = times[(predictions[LABEL_TIME] <= start) & (times < start)]
        has_first = len(known) >= training.first_after
        enough = has_first and known.max() - sliding >= start - back
        if enough or len(known) >= training.max_rows or start - back <= model.stream.began:
            return predictions
        back *= 2


def _is_judged(
    predictions: pd.DataFrame, judged: Judged, width: dt.timedelta, time_column: str
) -> np.ndarray:
    """Return which of the predictions lie in the windows that are compared."""
    starts = predictions[time_column].dt.floor(width)
    windows = pd.MultiIndex.from_arrays([starts, predictions["model_version"]])
    return windows.isin(judged.windows)
