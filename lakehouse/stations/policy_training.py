"""Training under the policy: candidates as Spark tasks, families on the chosen rows, a version with its verdict."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
from threadpoolctl import threadpool_limits

from lakehouse.errors import TrainingError
from lakehouse.estimators import (
    CrossFit,
    Failed,
    MatrixLearner,
    Meaning,
    TrainingSet,
    Trial,
    Weighting,
    cross_fit_weighted,
    fit_weighted,
    grid,
    problem_of,
)
from lakehouse.registry import ModelVersion, Sample, TrainingData, TrainingRecord
from lakehouse.stations.evidence import Evidence
from lakehouse.stations.policy_gate import verdict_on_archived, verdict_on_trained
from lakehouse.stations.policy_rows import Training
from lakehouse.stations.promotion import TRAINING_SECONDS, champion_of, version_of
from lakehouse.stations.training import EXAMPLE_ROWS, baseline_of, own_edges, verdict_of
from lakehouse.statistics.baseline import to_document
from lakehouse.statistics.sketches import BASELINE_VALUES
from lakehouse.steps.aggregate_kpis import profiles_of, specs_of
from lakehouse.steps.metrics import edges_of
from lakehouse.steps.policy.candidates import (
    Candidate,
    Fitted,
    candidates_of,
    choose,
    cross_fit,
    weights_by_fold,
)
from lakehouse.steps.policy.decide import Decision
from lakehouse.steps.policy.document import PolicyRecord, instant, moment_of
from lakehouse.steps.policy.evidence import Pool
from lakehouse.steps.policy.gate import duel
from lakehouse.steps.policy.version import record_of, restored
from lakehouse.steps.promote import Verdict
from lakehouse.steps.retrain import example_places

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Judged:
    """A version that may take over, or may not.

    Attributes:
        version: as registered.
        verdict: the gate's.
        record: what the policy knows of it, should it take over.
    """

    version: ModelVersion
    verdict: Verdict
    record: PolicyRecord


def train_by_policy(evidence: Evidence, decision: Decision) -> Judged | None:
    """Chooses rows and a family, judges the challenger against the champion, and registers it with the verdict.

    An archived version that is the best choice is judged as it is; nothing is trained.

    Returns:
        None where no candidate leaves two classes to tell apart.

    Raises:
        TrainingError: scikit-learn refused every family.
    """
    began = time.monotonic()
    training = Training.of(evidence, decision)
    fitted, tried = _chosen(training)
    if fitted is None:
        return None
    if fitted.candidate.version is not None:
        return _brought_back(training, fitted, began)
    return _trained(training, fitted, tried, began)


def judged_before(evidence: Evidence, decision: Decision) -> Judged | None:
    """What a run that was cut off had registered for this decision."""
    registry = evidence.lakehouse.registry
    version = registry.trained_as_of(evidence.as_of, decision.action)
    if version is None:
        return None
    record = PolicyRecord.from_json(registry.policy_record(version)).numbered(version.version)
    return Judged(version, verdict_of(version), record)


def _chosen(training: Training) -> tuple[Fitted | None, list[Mapping[str, Any]]]:
    """The best candidate, cross-fitted, and what all of them came to."""
    evidence, history, rows, judged = training.evidence, training.evidence.history, training.rows, training.judged
    settings, spark = evidence.lakehouse.model.policy.candidates, evidence.lakehouse.spark
    champion, newest = history.champion_record, rows.made[-1]
    candidates = candidates_of(training.decision, champion, history.archive, newest, int(judged.sum()), settings)
    if champion is None and training.decision.change_at is not None:  # one of an older release: no pool is on record
        candidates = [Candidate("since_change", start=training.decision.change_at)]
    for version in {each for one in candidates for each in (one.reference, one.version) if each is not None}:
        training.calls[version] = evidence.called_by(version, training.labelled)
    columns = None if training.current == rows.names else tuple(rows.names.index(name) for name in training.current)
    problem, seed = problem_of(evidence.lakehouse.model), training.data().seed
    learner = MatrixLearner(_trials(training)[0], problem, seed, columns)
    shared = (rows, judged, training.calls, learner)
    results = _as_tasks(spark.sparkContext, candidates, shared, lambda one, given: cross_fit(one, *given))
    kept = [each for each in results if each is not None]
    right = [float((each.calls[judged] == rows.codes[judged]).mean()) for each in kept]
    tried: list[Mapping[str, Any]] = [
        {"candidate": each.candidate.name, "rows": int((each.weights > 0).sum()), "accuracy": share}
        for each, share in zip(kept, right, strict=True)
    ]
    return (choose(kept, rows, judged, settings) if kept else None), tried


def _as_tasks(context: Any, items: Sequence[T], shared: Any, work: Callable[[T, Any], R]) -> list[R]:
    """Each item as a Spark task, on one thread: the tasks share the cores already."""
    sent = context.broadcast(shared)

    def alone(item: T) -> R:
        with threadpool_limits(1):
            return work(item, sent.value)

    try:
        found: list[R] = context.parallelize(items, len(items)).map(alone).collect()
        return found
    finally:
        sent.destroy()


def _trials(training: Training, window: str = "") -> list[Trial]:
    return grid([window], training.evidence.lakehouse.model.training.families)


def _weighting(training: Training, fitted: Fitted) -> Weighting:
    """The candidate's weights, and those of each fold."""
    told = None if fitted.candidate.reference is None else training.calls[fitted.candidate.reference]
    fold, by_fold = weights_by_fold(fitted.candidate, training.rows, told)
    return Weighting(fitted.weights, by_fold, fold)


def _trained(training: Training, fitted: Fitted, tried: list[Mapping[str, Any]], began: float) -> Judged:
    """Tunes, fits, judges and registers."""
    lakehouse, data, decision = training.evidence.lakehouse, training.data(), training.decision
    trials = _trials(training, fitted.candidate.name)
    weighting = _weighting(training, fitted)
    context = lakehouse.spark.sparkContext
    results = _as_tasks(
        context, trials, (data, weighting), lambda trial, given: cross_fit_weighted(trial, given[0], given[1])
    )
    place = _best(results, data, lakehouse.model.policy.candidates.preference)
    result = results[place]
    if isinstance(result, Failed):
        raise TrainingError(f"training.families: no trial could be fitted: {result.reason}")
    asked = (fitted.weights > 0) | training.judged
    calls = np.full(len(asked), -1)
    calls[asked] = data.problem.predicted(result.outputs[asked])
    model = fit_weighted(trials[place], data, fitted.weights)
    tuned = replace(fitted, calls=calls)
    verdict = verdict_on_trained(training, tuned, model, result)
    verdict.evidence[TRAINING_SECONDS] = round(time.monotonic() - began, 3)
    run_id, sample = _logged(training, list(zip(trials, results, strict=True)), tried)
    history = training.evidence.history
    as_of = instant(training.evidence.as_of)
    rows = training.rows.only(training.current)
    version = record_of(0, tuned, decision, as_of, rows, history.champion_record)
    record = PolicyRecord(version, rows.names, fitted.candidate.name, float(fitted.weights.max()))
    lakehouse.registry.log_policy_record(run_id, record.to_json())
    registered = lakehouse.registry.register(
        run_id,
        model,
        _training_record(training, tuned, verdict),
        _baseline(training, tuned, result),
        Meaning.of(lakehouse.model).to_json(),
        sample,
    )
    return Judged(registered, verdict, record.numbered(registered.version))


def _best(results: Sequence[CrossFit | Failed], data: TrainingSet, preference: float) -> int:
    """The first family, unless a later one is better on the judged rows with the preference's probability."""
    kept = [(place, each) for place, each in enumerate(results) if isinstance(each, CrossFit)]
    if not kept:
        return 0
    codes, judged = data.targets[data.judged], data.judged
    (place, chosen), others = kept[0], kept[1:]
    for other_place, other in others:
        first, second = (data.problem.predicted(each.outputs[judged]) for each in (chosen, other))
        if duel(codes, first, second).better > preference:
            place, chosen = other_place, other
    return place


def _brought_back(training: Training, fitted: Fitted, began: float) -> Judged:
    """An archived version as it is, under a new record."""
    evidence, old = training.evidence, int(fitted.candidate.version or 0)
    history = evidence.history
    record, as_of = history.records[old], instant(evidence.as_of)
    version = restored(record.version, history.archive[old], fitted, training.decision, as_of, training.rows)
    verdict = verdict_on_archived(training, fitted)
    verdict.evidence[TRAINING_SECONDS] = round(time.monotonic() - began, 3)
    return Judged(version_of(evidence.lakehouse, str(old)), verdict, replace(record, version=version))


def _logged(
    training: Training, results: Sequence[tuple[Trial, CrossFit | Failed]], tried: list[Mapping[str, Any]]
) -> tuple[str, Sample]:
    """The training's run, and the rows that its signature was inferred from."""
    lakehouse, data, versions = training.evidence.lakehouse, training.data(), training.versions
    labels = lakehouse.catalog.labels
    source = TrainingData(lakehouse.store.path(labels), versions[labels.full_name], len(training.labelled))
    places = example_places(data.rows, EXAMPLE_ROWS)
    shown = data.rows.iloc[places].reset_index(drop=True)
    outcome = pd.Series(data.targets[places], name=lakehouse.model.labels.label)
    name = f"{training.decision.action} as of {training.evidence.as_of:%Y-%m-%d}"
    sample = Sample(shown, outcome)
    run_id = lakehouse.registry.log_training(name, source, results, sample)
    lakehouse.registry.log_candidates(run_id, tried)
    return run_id, sample


def _training_record(training: Training, fitted: Fitted, verdict: Verdict) -> TrainingRecord:
    taken, judged, decision = fitted.weights > 0, training.judged, training.decision
    made = training.rows.made[taken]
    return TrainingRecord(
        as_of=training.evidence.as_of,
        trained_from=moment_of(made.min()),
        trained_to=moment_of(made.max()),
        trained_rows=int(taken.sum()),
        changed_at=None if decision.change_at is None else moment_of(decision.change_at),
        since_change=int(judged.sum()) if decision.change_at is not None else 0,
        judged=int(judged.sum()),
        wrong=int((fitted.calls[judged] != training.rows.codes[judged]).sum()),
        verdict=json.dumps(asdict(verdict)),
        table_versions=json.dumps(dict(training.versions)),
        action=decision.action,
    )


def _baseline(training: Training, fitted: Fitted, result: CrossFit) -> Any:
    """The profile that the version's windows are compared with.

    Of readings it is the stretches of time that it was trained on, with the rows that later ones contradict: else a
    feature would seem to have drifted where a rule has. Of label and prediction it is the judged rows, as the
    cross-fit found them. The bins are the champion's, so that counts of all versions add up.
    """
    lakehouse, model, judged = training.evidence.lakehouse, training.evidence.lakehouse.model, training.judged
    specs, problem = specs_of(model), problem_of(model)
    spans = Pool(tuple(replace(segment, without=()) for segment in fitted.pool.segments))
    as_table = partial(pa.Table.from_pandas, preserve_index=False)
    known, told = (as_table(training.labelled[mask]) for mask in (spans.mask(training.rows), judged))
    found = pa.table(problem.columns(result.outputs[judged]))
    of_outcome = {model.labels.label: told} | dict.fromkeys(found.column_names, found)
    tables = {spec.name: of_outcome.get(spec.name, known) for spec in specs}
    edges = own_edges(specs, tables, model.metrics.bins)
    current = champion_of(lakehouse)
    if current is not None:
        edges |= edges_of(baseline_of(lakehouse, current))
    return to_document(
        {spec.name: profiles_of(tables[spec.name], [spec], edges, BASELINE_VALUES)[spec.name] for spec in specs}
    )
