"""Training under the policy: candidates as Spark tasks, then families on the chosen rows, then the gate."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import functions as F
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from lakehouse.errors import TrainingError
from lakehouse.estimators import (
    CrossFit,
    Failed,
    MatrixLearner,
    TrainingSet,
    Trial,
    Weighting,
    cross_fit_weighted,
    fit_weighted,
    grid,
    problem_of,
)
from lakehouse.registry import ModelVersion, TrainingData, TrainingRecord
from lakehouse.stations.evidence import Evidence
from lakehouse.stations.lakehouse import Lakehouse
from lakehouse.stations.promotion import TRAINING_SECONDS
from lakehouse.stations.training import EXAMPLE_ROWS, baseline_of, labelled_rows, own_edges, verdict_of, verdict_on
from lakehouse.statistics.baseline import to_document
from lakehouse.steps.aggregate_kpis import primary_rows, profiles_of, specs_of
from lakehouse.steps.metrics import edges_of
from lakehouse.steps.policy.candidates import (
    FOLDS,
    Candidate,
    Fitted,
    candidates_of,
    choose,
    cross_fit,
    judged_at_gate,
    pool_of,
)
from lakehouse.steps.policy.decide import Decision
from lakehouse.steps.policy.document import PolicyRecord, instant, moment_of
from lakehouse.steps.policy.evidence import Pool, Rows
from lakehouse.steps.policy.gate import Challenger, Judgement, duel, judge
from lakehouse.steps.policy.version import judged_rows, record_of, restored
from lakehouse.steps.promote import Verdict
from lakehouse.steps.retrain import example_places, features_of

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


@dataclass(frozen=True)
class Training:
    """The labelled rows of a training.

    Attributes:
        evidence: of the decision.
        decision: that asked for it.
        labelled: rows with keys, times and labels, in order of time.
        rows: the same as the policy has them.
        versions: Delta versions that they were read at.
        judged: mask of the rows that candidates are compared on.
        calls: what the versions that candidates name call the rows.
    """

    evidence: Evidence
    decision: Decision
    labelled: pd.DataFrame
    rows: Rows
    versions: Mapping[str, int]
    judged: np.ndarray
    calls: dict[int, np.ndarray]

    def data(self) -> TrainingSet:
        """The rows as families are fitted to them."""
        model = self.evidence.lakehouse.model
        return TrainingSet(
            features=features_of(model),
            problem=problem_of(model),
            rows=self.labelled[list(model.predictions.features)],
            targets=self.rows.codes,
            windows={},
            judged=self.judged,
            folds=FOLDS,
            seed=model.training.seed,
        )


def train_by_policy(evidence: Evidence, decision: Decision) -> Judged | None:
    """Chooses rows and a family, judges the challenger against the champion, and registers it with the verdict.

    An archived version that is the best choice is judged as it is; nothing is trained.

    Returns:
        None where no candidate leaves two classes to tell apart.

    Raises:
        TrainingError: scikit-learn refused every family.
    """
    began = time.monotonic()
    training = _training(evidence, decision)
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


def _training(evidence: Evidence, decision: Decision) -> Training:
    lakehouse = evidence.lakehouse
    versions = lakehouse.store.versions(lakehouse.catalog.readings, lakehouse.catalog.labels)
    labelled = labelled_rows(lakehouse, versions)
    rows = evidence.rows_of(labelled)
    return Training(evidence, decision, labelled, rows, versions, judged_rows(decision, rows), {})


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
    learner = MatrixLearner(_trials(training)[0], problem_of(evidence.lakehouse.model), training.data().seed)
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
    """The candidate's weights, and those of each fold: what is contradicted is found without the fold's rows."""
    told = None if fitted.candidate.reference is None else training.calls[fitted.candidate.reference]
    fold = np.arange(len(training.rows)) % FOLDS
    found = [pool_of(fitted.candidate, training.rows, told, fold != out)[1] for out in range(FOLDS)]
    by_fold = tuple(np.where(fold == out, 0.0, weights) for out, weights in enumerate(found))
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
    verdict = _verdict(training, tuned, model, result)
    verdict.evidence[TRAINING_SECONDS] = round(time.monotonic() - began, 3)
    run_id, shown, outcome = _logged(training, list(zip(trials, results, strict=True)), tried)
    history = training.evidence.history
    as_of = instant(training.evidence.as_of)
    version = record_of(0, tuned, decision, as_of, training.rows, history.champion_record)
    record = PolicyRecord(version, training.rows.names, fitted.candidate.name, float(fitted.weights.max()))
    lakehouse.registry.log_policy_record(run_id, record.to_json())
    registered = lakehouse.registry.register(
        run_id,
        model,
        _training_record(training, tuned, verdict),
        _baseline(training, tuned, result),
        shown,
        outcome,
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


def _verdict(training: Training, fitted: Fitted, model: Pipeline, result: CrossFit) -> Verdict:
    lakehouse, data = training.evidence.lakehouse, training.data()

    def compared(*_: object) -> Verdict:
        return _as_verdict(_judgement(training, fitted, _milliseconds(model, data)))

    return verdict_on(lakehouse, model, CrossFit(result.outputs[data.judged], result.metrics), data, compared)


def _milliseconds(model: Pipeline, data: TrainingSet) -> float:
    """How long it takes to score a thousand rows."""
    rows = data.rows[data.features.names]
    thousand = rows.iloc[np.arange(1_000) % len(rows)]
    began = time.perf_counter()
    data.problem.outputs(model, thousand)
    return 1_000 * (time.perf_counter() - began)


def _judgement(training: Training, fitted: Fitted, milliseconds: float | None) -> Judgement:
    """The gate, on judged rows whose labels came after the champion was trained."""
    evidence, rows, judged = training.evidence, training.rows, training.judged
    policy, history = evidence.lakehouse.model.policy, evidence.history
    champion = history.champion_record
    trained = champion.as_of if champion else _legacy_as_of(evidence)
    new = judged_at_gate(fitted, rows, judged, trained)
    version = history.champion or 0
    before = training.calls.get(version)
    calls = evidence.called_by(version, training.labelled[new]) if before is None else before[new]
    classes = len(np.unique(fitted.calls[judged & (fitted.calls >= 0)]))
    slices = _slices(evidence.lakehouse, training.labelled.loc[new, evidence.lakehouse.model.key])
    challenger = Challenger(
        rows.codes[new], calls, fitted.calls[new], classes=classes, milliseconds=milliseconds, slices=slices
    )
    judgement = judge(challenger, training.decision.confidence, policy.gate)
    return replace(judgement, evidence=judgement.evidence | _accuracies(challenger))


def _slices(lakehouse: Lakehouse, keys: pd.Series) -> dict[str, np.ndarray]:
    """For each slice of the settings and each value of it, which of the rows lie in it."""
    model, catalog, store = lakehouse.model, lakehouse.catalog, lakehouse.store
    if not model.metrics.slices or not len(keys):
        return {}
    near = F.col(model.key).between(*keys.agg(["min", "max"]).tolist())
    predicted, told, read = (
        store.read(table).where(near) for table in (catalog.predictions, catalog.labels, catalog.readings)
    )
    primary = primary_rows(predicted, told, read, model)
    columns = [F.expr(text).cast("string").alias(f"_{place}") for place, text in enumerate(model.metrics.slices)]
    found = primary.select(model.key, *columns).toArrow().to_pandas().set_index(model.key).reindex(keys)
    return {
        f"{text}: {value}": (found[f"_{place}"] == value).to_numpy()
        for place, text in enumerate(model.metrics.slices)
        for value in sorted(found[f"_{place}"].dropna().unique())
    }


def _accuracies(challenger: Challenger) -> dict[str, float]:
    """Of both on the rows that they were judged on."""
    if not len(challenger.codes):
        return {}
    sides = (("champion", challenger.champion), ("challenger", challenger.calls))
    return {f"{side}_accuracy": float((calls == challenger.codes).mean()) for side, calls in sides}


def _legacy_as_of(evidence: Evidence) -> np.datetime64:
    """When a champion without a policy record was trained."""
    return instant(evidence.lakehouse.registry.version(str(evidence.history.champion)).record.as_of)


def _as_verdict(judgement: Judgement) -> Verdict:
    return Verdict(judgement.passed, judgement.reason, dict(judgement.evidence))


def _brought_back(training: Training, fitted: Fitted, began: float) -> Judged:
    """An archived version as it is, under a new record."""
    evidence, old = training.evidence, int(fitted.candidate.version or 0)
    history = evidence.history
    record, since = history.records[old], int(training.judged.sum())
    as_of = instant(evidence.as_of)
    version = restored(record.version, history.archive[old], training.decision, as_of, since)
    verdict = _as_verdict(_judgement(training, fitted, None))
    verdict.evidence[TRAINING_SECONDS] = round(time.monotonic() - began, 3)
    return Judged(evidence.lakehouse.registry.version(str(old)), verdict, replace(record, version=version))


def _logged(
    training: Training, results: Sequence[tuple[Trial, CrossFit | Failed]], tried: list[Mapping[str, Any]]
) -> tuple[str, pd.DataFrame, pd.Series]:
    """The training's run, and the rows that its signature was inferred from."""
    lakehouse, data, versions = training.evidence.lakehouse, training.data(), training.versions
    labels = lakehouse.catalog.labels
    source = TrainingData(lakehouse.store.path(labels), versions[labels.full_name], len(training.labelled))
    places = example_places(data.rows, EXAMPLE_ROWS)
    shown = data.rows.iloc[places].reset_index(drop=True)
    outcome = pd.Series(data.targets[places], name=lakehouse.model.labels.label)
    name = f"{training.decision.action} as of {training.evidence.as_of:%Y-%m-%d}"
    run_id = lakehouse.registry.log_training(name, source, results, shown, outcome)
    lakehouse.registry.log_candidates(run_id, tried)
    return run_id, shown, outcome


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
    champion = lakehouse.registry.champion()
    if champion is not None:
        edges |= edges_of(baseline_of(lakehouse, lakehouse.registry.version(champion)))
    return to_document({spec.name: profiles_of(tables[spec.name], [spec], edges)[spec.name] for spec in specs})
