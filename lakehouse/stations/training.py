"""Training: labelled rows at a recorded Delta version, trials as Spark tasks, each on record in MLflow."""

import datetime as dt
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import functions as F
from sklearn.pipeline import Pipeline

from lakehouse.errors import TrainingError
from lakehouse.estimators import (
    CrossFit,
    Failed,
    Features,
    Meaning,
    TrainingSet,
    Trial,
    cross_fit,
    features_of,
    fit,
    flaw_of,
)
from lakehouse.registry import ModelVersion, Sample, TrainingData, TrainingRecord
from lakehouse.stations.evidence import LABEL_TIME
from lakehouse.stations.feature_columns import sources_of, with_features
from lakehouse.stations.label_batch import labels_in_force, start_of_trainable, with_active_labels
from lakehouse.stations.lakehouse import Lakehouse
from lakehouse.stations.promotion import TRAINING_SECONDS, champion_of, load_promoted, meaning_of
from lakehouse.statistics.baseline import Baseline, from_document, to_document
from lakehouse.statistics.bins import quantile_edges
from lakehouse.statistics.columns import ColumnSpec, numbers_of, read_column
from lakehouse.statistics.sketches import BASELINE_VALUES
from lakehouse.steps.aggregate_kpis import profiles_of, specs_of
from lakehouse.steps.decide import Decision
from lakehouse.steps.metrics import edges_of
from lakehouse.steps.promote import Verdict, judge, judge_first
from lakehouse.steps.retrain import best, example_places, training_set, trials_of
from lakehouse.store import covering_keys_of

EXAMPLE_ROWS = 5


@dataclass(frozen=True)
class Challenger:
    """The best trial of a training, fitted; and what it predicts for rows that it was not fitted on.

    Attributes:
        trial: what was fitted.
        model: fitted to all rows of the trial's window.
        data: the rows that it was fitted to and judged on.
        result: its outputs for the judged rows, cross-fitted.
        labelled: `data.rows` with keys, times and labels.
    """

    trial: Trial
    model: Pipeline
    data: TrainingSet
    result: CrossFit
    labelled: pd.DataFrame

    @property
    def targets(self) -> np.ndarray:
        """What was to be predicted for the judged rows."""
        return self.data.targets[self.data.judged]

    @property
    def predicted(self) -> np.ndarray:
        """Cross-fitted predictions of the judged rows."""
        return self.data.problem.predicted(self.result.outputs)

    @property
    def trained_on(self) -> pd.DataFrame:
        """The labelled rows that its window takes."""
        return self.labelled[self.data.windows[self.trial.window]]


def train(lakehouse: Lakehouse, decision: Decision, as_of: dt.datetime) -> ModelVersion | None:
    """Trains a challenger, judges it against the champion, and registers it with the verdict.

    Args:
        lakehouse: whose labelled rows are taken.
        decision: that asked for the training.
        as_of: newest label time that had landed.

    Returns:
        The registered version; None where there were too few rows to compare anything on.

    Raises:
        TrainingError: scikit-learn refused every trial.
    """
    began = time.monotonic()
    versions = lakehouse.store.versions(lakehouse.catalog.readings, lakehouse.catalog.labels)
    labelled = labelled_rows(lakehouse, versions, as_of)
    data = training_set(labelled, lakehouse.model, decision.change_at)
    trials = trials_of(data, lakehouse.model.training.families)
    results = _run(lakehouse, trials, data)
    source = TrainingData(
        lakehouse.store.path(lakehouse.catalog.labels), versions[lakehouse.catalog.labels.full_name], len(labelled)
    )
    shown = example_places(data.rows, EXAMPLE_ROWS)
    example = data.rows.iloc[shown].reset_index(drop=True)
    outcome = pd.Series(data.targets[shown], name=lakehouse.model.labels.label)  # of classes it predicts the codes
    logged = list(zip(trials, results, strict=True))
    sample = Sample(example, outcome)
    run_id = lakehouse.registry.log_training(f"{decision.action} as of {as_of:%Y-%m-%d}", source, logged, sample)
    challenger = _challenger(trials, results, data, labelled)
    if challenger is None:
        return None
    champion, compared = champion_of(lakehouse), partial(_compared, lakehouse, decision, challenger)
    verdict = verdict_on(lakehouse, champion, challenger.model, challenger.result, data, compared)
    verdict.evidence[TRAINING_SECONDS] = round(time.monotonic() - began, 3)
    record = _record(lakehouse, decision, as_of, challenger, verdict, versions)
    baseline = _baseline(lakehouse, challenger, champion)
    meaning = Meaning.of(lakehouse.model).to_json()
    return lakehouse.registry.register(run_id, challenger.model, record, baseline, meaning, sample)


def baseline_of(lakehouse: Lakehouse, version: ModelVersion) -> Baseline:
    """The profile of each column of the version's training data."""
    return from_document(lakehouse.registry.baseline(version))


def verdict_of(version: ModelVersion) -> Verdict:
    """The gate's verdict on a registered version."""
    return Verdict(**json.loads(version.record.verdict))


def verdict_on(
    lakehouse: Lakehouse,
    champion: ModelVersion | None,
    model: Pipeline,
    result: CrossFit,
    data: TrainingSet,
    compared: Callable[[ModelVersion, Pipeline], Verdict],
) -> Verdict:
    """The verdict on a challenger: whether it may take over at all, and, where there is a champion, how both compare.

    Args:
        lakehouse: whose champion it may become.
        champion: the one that is; None before the first.
        model: the challenger.
        result: its outputs for the judged rows, cross-fitted.
        data: the rows that it was fitted to and judged on.
        compared: the gate's verdict, given the champion and its model.
    """
    if flaw := flaw_of(model, result, data):
        return Verdict(False, f"the challenger may not take over: {flaw}")
    if champion is None:
        predicted = data.problem.predicted(result.outputs)
        return judge_first(data.problem, data.targets[data.judged], predicted, lakehouse.model.margins)
    return compared(champion, load_promoted(lakehouse, champion))


def labelled_rows(
    lakehouse: Lakehouse, versions: Mapping[str, int], as_of: dt.datetime, features: Features | None = None
) -> pd.DataFrame:
    """The newest labelled readings, in order of event time, at the given Delta versions (of that label time).

    Rows whose label is a class that the settings do not name any more are left out. What is read grows with
    `training.max_rows`, not with history: gold tells where so many rows begin.
    """
    model, catalog, store = lakehouse.model, lakehouse.catalog, lakehouse.store
    readings = store.read(catalog.readings, versions[catalog.readings.full_name])
    labels = with_active_labels(labels_in_force(lakehouse, versions[catalog.labels.full_name]), model)
    since = start_of_trainable(lakehouse, as_of)
    if since is not None:
        readings = readings.where(F.col(model.event_time) >= F.lit(since))
        labels = labels.where(covering_keys_of(readings, model.key))
    sources = sources_of(lakehouse, catalog.readings, (features or features_of(model)).names)
    others = list(dict.fromkeys([model.key, model.event_time, *model.metrics.columns]))
    told = F.col(model.labels.time).alias(LABEL_TIME)
    joined = with_features(readings, sources, others).join(
        labels.select(model.key, told, model.labels.label), model.key
    )
    newest = joined.orderBy(F.col(model.event_time).desc(), F.col(model.key).desc()).limit(model.training.max_rows)
    return newest.toArrow().to_pandas().iloc[::-1].reset_index(drop=True)


def _run(lakehouse: Lakehouse, trials: list[Trial], data: TrainingSet) -> list[CrossFit | Failed]:
    """Each trial as a Spark task."""
    context = lakehouse.spark.sparkContext
    shared = context.broadcast(data)
    try:
        return context.parallelize(trials, len(trials)).map(lambda trial: cross_fit(trial, shared.value)).collect()
    finally:
        shared.destroy()


def _challenger(
    trials: list[Trial], results: list[CrossFit | Failed], data: TrainingSet, labelled: pd.DataFrame
) -> Challenger | None:
    """The best trial, fitted to its window; None where the rows are too few for any.

    Raises:
        TrainingError: scikit-learn refused every trial, or the best one on all rows of its window.
    """
    place = best(results, data.problem)
    if place is not None and isinstance(result := results[place], CrossFit):
        try:
            return Challenger(trials[place], fit(trials[place], data), data, result, labelled)
        except ValueError as error:
            raise TrainingError(f"training.families: {trials[place].name}: {error}") from error
    reasons = dict.fromkeys(result.reason for result in results if isinstance(result, Failed))
    if list(reasons) == [data.problem.too_few]:
        return None
    raise TrainingError(f"training.families: no trial could be fitted: {'; '.join(reasons)}")


def _compared(
    lakehouse: Lakehouse, decision: Decision, challenger: Challenger, champion: ModelVersion, model: Pipeline
) -> Verdict:
    """The gate, on judged rows whose labels came after the champion was trained."""
    margins, data = lakehouse.model.margins, challenger.data
    judged = challenger.labelled[data.judged]
    new = (judged[LABEL_TIME] > champion.record.as_of).to_numpy()
    rows = meaning_of(lakehouse, champion.version).features.frame(judged.loc[new])
    current = data.problem.predicted(data.problem.outputs(model, rows)) if new.any() else np.array([])
    return judge(decision.action, data.problem, challenger.targets[new], current, challenger.predicted[new], margins)


def _record(
    lakehouse: Lakehouse,
    decision: Decision,
    as_of: dt.datetime,
    challenger: Challenger,
    verdict: Verdict,
    versions: Mapping[str, int],
) -> TrainingRecord:
    times = challenger.trained_on[lakehouse.model.event_time]
    return TrainingRecord(
        as_of=as_of,
        trained_from=times.min().to_pydatetime(),
        trained_to=times.max().to_pydatetime(),
        trained_rows=len(times),
        changed_at=decision.change_at,
        since_change=int(challenger.data.judged.sum()) if decision.change_at else 0,
        judged=len(challenger.targets),
        wrong=int((~challenger.data.problem.is_right(challenger.predicted, challenger.targets)).sum()),
        verdict=json.dumps(asdict(verdict)),
        table_versions=json.dumps(dict(versions)),
        action=decision.action,
    )


def _baseline(lakehouse: Lakehouse, challenger: Challenger, champion: ModelVersion | None) -> dict[str, Any]:
    """The profile of the training rows; the prediction and its score as the cross-fit found them.

    The bins are the champion's, so that counts of all versions add up; of columns that it has none for, own quantiles.
    """
    model, data = lakehouse.model, challenger.data
    specs = specs_of(model)
    known = pa.Table.from_pandas(challenger.trained_on, preserve_index=False)
    found = pa.table(data.problem.columns(challenger.result.outputs))
    tables = {spec.name: found if spec.name in found.column_names else known for spec in specs}
    edges = own_edges(specs, tables, model.metrics.bins)
    if champion is not None:
        edges |= edges_of(baseline_of(lakehouse, champion))
    return to_document(
        {spec.name: profiles_of(tables[spec.name], [spec], edges, BASELINE_VALUES)[spec.name] for spec in specs}
    )


def own_edges(
    specs: tuple[ColumnSpec, ...], tables: Mapping[str, pa.Table], n_bins: int
) -> dict[str, tuple[float, ...]]:
    """Bin edges at the quantiles of each numeric column."""
    cells = {
        spec.name: read_column(tables[spec.name][spec.name], spec.data_type)
        for spec in specs
        if not spec.is_categorical
    }
    return {name: quantile_edges(numbers_of(values.drop_null()), n_bins) for name, values in cells.items()}
