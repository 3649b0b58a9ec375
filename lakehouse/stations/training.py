"""Training: labelled rows at a recorded Delta version, trials as Spark tasks, each on record in MLflow."""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import functions as F

from lakehouse.estimators import CrossFit, TrainingSet, Trial, cross_fit, fit, probabilities
from lakehouse.registry import ModelVersion, TrainingData, TrainingRecord
from lakehouse.stations.lakehouse import Lakehouse
from lakehouse.stations.promotion import champion_of, load_promoted
from lakehouse.statistics.baseline import Baseline
from lakehouse.statistics.bins import quantile_edges
from lakehouse.statistics.columns import ColumnSpec
from lakehouse.statistics.profile import ColumnProfile
from lakehouse.steps.aggregate_kpis import PREDICTION, SCORE, profiles_of, specs_of
from lakehouse.steps.decide import Decision
from lakehouse.steps.metrics import edges_of
from lakehouse.steps.promote import Verdict, judge, judge_first
from lakehouse.steps.retrain import best, training_set, trials_of

BASELINE_FORMAT = 1
_EXAMPLE_ROWS = 5
_LABEL_TIME = "_label_time"  # no model's column begins with an underscore


@dataclass(frozen=True)
class Challenger:
    """The best trial of a training: what it was trained on, and what it predicts for rows it was not fitted on."""

    trial: Trial
    data: TrainingSet
    result: CrossFit
    labelled: pd.DataFrame

    @property
    def codes(self) -> np.ndarray:
        """True class codes of the judged rows."""
        return self.data.codes[self.data.judged]

    @property
    def predicted(self) -> np.ndarray:
        """Cross-fitted class codes of the judged rows."""
        return self.result.probabilities.argmax(axis=1)

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
        The registered version; None where there were too few rows of each class to compare anything on.
    """
    versions = lakehouse.store.versions(lakehouse.catalog.readings, lakehouse.catalog.labels)
    labelled = _labelled_rows(lakehouse, versions)
    data = training_set(labelled, lakehouse.model, decision.change_at)
    trials = trials_of(data, lakehouse.model.training.families)
    results = _run(lakehouse, trials, data)
    place = best(results)
    source = TrainingData(
        lakehouse.store.path(lakehouse.catalog.labels), versions[lakehouse.catalog.labels.full_name], len(labelled)
    )
    example = data.rows.head(_EXAMPLE_ROWS)
    outcome = pd.Series(data.codes[:_EXAMPLE_ROWS], name=lakehouse.model.labels.label)  # it predicts codes
    logged = list(zip(trials, results, strict=True))
    run_id = lakehouse.registry.log_training(
        f"{decision.action} as of {as_of:%Y-%m-%d}", source, logged, example, outcome
    )
    if place is None or (result := results[place]) is None:
        return None
    challenger = Challenger(trials[place], data, result, labelled)
    champion = champion_of(lakehouse)
    verdict = _verdict(lakehouse, decision, challenger, champion)
    record = _record(lakehouse, decision, as_of, challenger, verdict, versions)
    baseline = _baseline(lakehouse, challenger, champion)
    model = fit(challenger.trial, data)
    return lakehouse.registry.register(run_id, model, record, baseline, example, outcome)


def baseline_of(lakehouse: Lakehouse, version: ModelVersion) -> Baseline:
    """The profile of each column of the version's training data."""
    profiles = map(ColumnProfile.from_json, lakehouse.registry.baseline(version)["columns"])
    return {profile.spec.name: profile for profile in profiles}


def verdict_of(version: ModelVersion) -> Verdict:
    """The gate's verdict on a registered version."""
    return Verdict(**json.loads(version.record.verdict))


def _labelled_rows(lakehouse: Lakehouse, versions: Mapping[str, int]) -> pd.DataFrame:
    """The newest labelled readings, in order of event time, at the given Delta versions."""
    model, catalog, store = lakehouse.model, lakehouse.catalog, lakehouse.store
    readings = store.read(catalog.readings, versions[catalog.readings.full_name])
    labels = store.read(catalog.labels, versions[catalog.labels.full_name])
    wanted = dict.fromkeys([model.key, model.event_time, *model.predictions.features])
    told = F.col(model.labels.time).alias(_LABEL_TIME)
    joined = readings.select(*wanted).join(labels.select(model.key, told, model.labels.label), model.key)
    newest = joined.orderBy(F.col(model.event_time).desc(), F.col(model.key).desc()).limit(model.training.max_rows)
    return newest.toArrow().to_pandas().iloc[::-1].reset_index(drop=True)


def _run(lakehouse: Lakehouse, trials: list[Trial], data: TrainingSet) -> list[CrossFit | None]:
    """Each trial as a Spark task."""
    context = lakehouse.spark.sparkContext
    shared = context.broadcast(data)
    try:
        return context.parallelize(trials, len(trials)).map(lambda trial: cross_fit(trial, shared.value)).collect()
    finally:
        shared.destroy()


def _verdict(
    lakehouse: Lakehouse, decision: Decision, challenger: Challenger, champion: ModelVersion | None
) -> Verdict:
    """The gate, on judged rows whose labels came after the champion was trained."""
    margins = lakehouse.model.margins
    if champion is None:
        return judge_first(challenger.codes, challenger.predicted, margins)
    judged = challenger.labelled[challenger.data.judged]
    new = (judged[_LABEL_TIME] > champion.record.as_of).to_numpy()
    model = load_promoted(lakehouse, champion)
    rows = judged.loc[new, challenger.data.features.names]
    current = probabilities(model, rows, challenger.data.n_classes).argmax(axis=1) if new.any() else np.array([], int)
    return judge(decision.action, challenger.codes[new], current, challenger.predicted[new], margins)


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
        judged=len(challenger.codes),
        wrong=int((challenger.predicted != challenger.codes).sum()),
        verdict=json.dumps(asdict(verdict)),
        table_versions=json.dumps(dict(versions)),
    )


def _baseline(lakehouse: Lakehouse, challenger: Challenger, champion: ModelVersion | None) -> dict[str, Any]:
    """The profile of the training rows; prediction and score as the cross-fit found them.

    The bins are the champion's, so that counts of all versions add up; a first model's are its own quantiles.
    """
    specs = specs_of(lakehouse.model)
    known = pa.Table.from_pandas(challenger.trained_on, preserve_index=False)
    found = _predicted(lakehouse, challenger)
    tables = {spec.name: found if spec.name in (PREDICTION, SCORE) else known for spec in specs}
    edges = _inherited_edges(lakehouse, champion) or _own_edges(specs, tables, lakehouse.model.metrics.bins)
    profiles = [profiles_of(tables[spec.name], [spec], edges)[spec.name] for spec in specs]
    return {"format": BASELINE_FORMAT, "columns": [profile.to_json() for profile in profiles]}


def _predicted(lakehouse: Lakehouse, challenger: Challenger) -> pa.Table:
    model, found = lakehouse.model, challenger.result.probabilities
    score = found[:, model.classes.index(model.positive)] if found.shape[1] == 2 else found.max(axis=1)
    return pa.table({PREDICTION: [model.classes[code] for code in challenger.predicted], SCORE: score})


def _inherited_edges(lakehouse: Lakehouse, champion: ModelVersion | None) -> dict[str, tuple[float, ...]]:
    if champion is None:
        return {}
    return edges_of(baseline_of(lakehouse, champion))


def _own_edges(
    specs: tuple[ColumnSpec, ...], tables: Mapping[str, pa.Table], n_bins: int
) -> dict[str, tuple[float, ...]]:
    numeric = [spec.name for spec in specs if not spec.is_categorical]
    return {name: quantile_edges(tables[name][name].drop_null().to_numpy(), n_bins) for name in numeric}
