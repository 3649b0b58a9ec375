"""Training: candidates and families as Spark tasks, the model and all that was tried on record in
MLflow.
"""

import datetime as dt
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property, partial
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from lakehouse.checks.check import Check
from lakehouse.checks.model_checks import Subject, model_checks
from lakehouse.errors import TrainingError
from lakehouse.instants import moment_of
from lakehouse.models import (
    CrossFit,
    Failed,
    MatrixLearner,
    Meaning,
    TrainingSet,
    Trial,
    Weighting,
    cross_fit_weighted,
    example_places,
    failure,
    features_of,
    fit_weighted,
    flaw_of,
    grid,
)
from lakehouse.monitoring.measured import edges_of
from lakehouse.monitoring.transforms import profiles_of, specs_of
from lakehouse.profiling.baseline import to_document
from lakehouse.profiling.bins import quantile_edges
from lakehouse.profiling.columns import ColumnSpec, numbers_of, read_column
from lakehouse.profiling.sketches import BASELINE_VALUES
from lakehouse.redaction import without_values
from lakehouse.retraining.absolute_errors import absolute_errors_of
from lakehouse.retraining.policy.candidates.choice import (
    Candidate,
    Fitted,
    cross_fit,
    fold_of,
    named_versions,
)
from lakehouse.retraining.policy.candidates.forward import forward_choice
from lakehouse.retraining.policy.decide import Decision
from lakehouse.retraining.policy.difference import Difference
from lakehouse.retraining.policy.document import PolicyRecord
from lakehouse.retraining.policy.gate import GateResult, compare
from lakehouse.retraining.policy.history import History
from lakehouse.retraining.policy.records import RowRule
from lakehouse.retraining.ports import Judged, Trained
from lakehouse.retraining.promoted_models import PromotedModels
from lakehouse.retraining.recipe import Recipe, digest_of, libraries
from lakehouse.retraining.training_rows import TrainingRows, training_rows
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.mlflow_client import Sample
from lakehouse.storage.registry import TrainingData
from lakehouse.storage.training_record import ModelVersion, TrainingRecord

EXAMPLE_ROWS = 5
TRAINING_SECONDS = "training_seconds"
"""Evidence of each training's result: wall-clock time from reading the rows to the result."""

T = TypeVar("T")
R = TypeVar("R")


class SparkTrainer:
    """See `ports.Trainer`: of one decision."""

    def __init__(
        self, models: PromotedModels, decision: Decision, as_of: dt.datetime, history: History
    ) -> None:
        """Read and train nothing yet.

        Args:
            models: what was promoted.
            decision: that asks for a training.
            as_of: newest label time that has landed.
            history: what the ledgers tell.
        """
        self._models, self._decision, self._as_of, self._history = models, decision, as_of, history
        self._lakehouse: Lakehouse = models.lakehouse
        self._problem = models.problem
        self._began = time.monotonic()
        self._tried: list[Mapping[str, Any]] = []

    @cached_property
    def labelled(self) -> TrainingRows:
        """See `Trainer`."""
        return training_rows(self._models, self._as_of, self._history)

    @property
    def cost(self) -> Mapping[str, float]:
        """See `Trainer`: wall-clock seconds."""
        return {TRAINING_SECONDS: round(time.monotonic() - self._began, 3)}

    def forward_choice(
        self, candidates: Sequence[Candidate], judged: np.ndarray
    ) -> Candidate | None:
        """See `Trainer`: by the first point of the first family."""
        predicted = self._predicted(candidates)
        with threadpool_limits(1):
            return forward_choice(
                candidates, self.labelled.rows, judged, predicted, self._learner()
            )

    def cross_fit(self, candidates: Sequence[Candidate], judged: np.ndarray) -> list[Fitted | None]:
        """See `Trainer`: by the first point of the first family."""
        rows = self.labelled.rows
        shared = (rows, judged, self._predicted(candidates), self._learner())
        results = self._as_tasks(candidates, shared, _cross_fitted)
        failures = [each.reason for each in results if isinstance(each, Failed)]
        if len(failures) == len(results):
            raise TrainingError(f"training.families: no candidate could be fitted: {failures[0]}")
        found = [None if isinstance(each, Failed) else each for each in results]
        self._tried = [
            {
                "candidate": each.candidate.name,
                "rows": int((each.weights > 0).sum()),
                "accuracy": share,
            }
            for each in found
            if each is not None
            for share in [
                float(self._problem.is_right(each.predictions[judged], rows.labels[judged]).mean())
            ]
        ]
        return found

    def _predicted(self, candidates: Sequence[Candidate]) -> dict[int, np.ndarray]:
        """What the versions that the candidates name predict for the labelled rows."""
        return {each: self.labelled.predicted_by(each) for each in named_versions(candidates)}

    def _learner(self) -> MatrixLearner:
        """The learner that candidates are compared by; it reads the features of the settings."""
        names, current = self.labelled.rows.names, self.labelled.current
        columns = None if current == names else tuple(map(names.index, current))
        seed = self._lakehouse.model.training.seed
        return MatrixLearner(self._trials()[0], self._problem, seed, columns)

    def fit(self, fitted: Fitted, judged: np.ndarray) -> Trained:
        """See `Trainer`: the first family, unless a later one is credibly better."""
        data, trials = self._data(judged), self._trials(fitted.candidate.name)
        weighting = Weighting(fitted.weights, fitted.by_fold, fold_of(judged))
        results = self._as_tasks(
            trials, (data, weighting), lambda trial, given: cross_fit_weighted(trial, *given)
        )
        place = self._best(results, data)
        result = results[place]
        if isinstance(result, Failed):
            raise TrainingError(f"training.families: no trial could be fitted: {result.reason}")
        asked = (fitted.weights > 0) | judged
        predictions = self._problem.unknown(len(asked))
        predictions[asked] = self._problem.predicted(result.outputs[asked])
        try:
            model = fit_weighted(trials[place], data, fitted.weights)
        except ValueError as error:  # it could be fitted to all but a fold
            why = without_values(str(error))
            raise TrainingError(f"training.families: {trials[place].name}: {why}") from error
        milliseconds = _milliseconds(model, data)
        return Trained(
            replace(fitted, predictions=predictions, asked=asked),
            self._problem.can_predict(model, data.targets),
            flaw_of(model, result.outputs[judged], data),
            milliseconds,
            self._checks(model, data, milliseconds),
            names=self.labelled.current,
            model=(model, trials[place], result, list(zip(trials, results, strict=True))),
        )

    def _checks(self, model: Pipeline, data: TrainingSet, milliseconds: float) -> tuple[Check, ...]:
        """Tests of the model by itself, on the rows that it is judged on."""
        rows = data.rows.loc[data.judged, data.features.names]
        subject = Subject(model, data.features, data.problem, rows, milliseconds)
        return model_checks(subject, self._lakehouse.model)

    def register(
        self, trained: Trained, judged: np.ndarray, result: GateResult, record: PolicyRecord
    ) -> int:
        """See `Trainer`."""
        registry = self._lakehouse.registry
        (model, trial, outcome, tried), data = trained.model, self._data(judged)
        run_id, sample = self._logged(data, tried)
        registry.log_policy_record(run_id, record.to_json())
        registry.log_recipe(run_id, self._recipe(trial, data, trained.fitted).to_json())
        errors = absolute_errors_of(record, trained.fitted, self.labelled.rows)
        if errors is not None:
            registry.log_absolute_errors(run_id, errors.to_json())
        registered = registry.register(
            run_id,
            model,
            self._training_record(trained.fitted, judged, result),
            self._baseline(trained.fitted, judged, outcome),
            Meaning.of(self._lakehouse.model).to_json(),
            sample,
        )
        return int(registered.version)

    def registered_before(self) -> Judged | None:
        """See `Trainer`."""
        registry = self._lakehouse.registry
        version = registry.trained_as_of(self._as_of, self._decision.action)
        if version is None:
            return None
        number = int(version.version)
        record = PolicyRecord.from_json(registry.policy_record(version)).numbered(number)
        return Judged(number, _result_of(version), record)

    def _trials(self, window: str = "") -> list[Trial]:
        return grid([window], self._lakehouse.model.training.families)

    def _data(self, judged: np.ndarray) -> TrainingSet:
        """The rows as families are fitted to them."""
        model = self._lakehouse.model
        features = features_of(model)
        frame, targets = features.frame(self.labelled.frame), self.labelled.rows.labels
        return TrainingSet(features, self._problem, frame, targets, judged, model.training.seed)

    def _as_tasks(self, items: Sequence[T], shared: Any, work: Callable[[T, Any], R]) -> list[R]:
        """Each item as a Spark task, on one thread: the tasks share the cores already."""
        context = self._lakehouse.spark.sparkContext
        sent = context.broadcast(shared)

        def alone(item: T) -> R:
            with threadpool_limits(1):
                return work(item, sent.value)

        try:
            found: list[R] = context.parallelize(items, len(items)).map(alone).collect()
            return found
        finally:
            sent.destroy()

    def _best(self, results: Sequence[CrossFit | Failed], data: TrainingSet) -> int:
        """The first family, unless a later one is better on the judged rows with the preference's
        probability.
        """
        preference = self._lakehouse.model.policy.candidates.preference
        kept = [(place, each) for place, each in enumerate(results) if isinstance(each, CrossFit)]
        if not kept:
            return 0
        labels, judged = data.targets[data.judged], data.judged
        (place, chosen), others = kept[0], kept[1:]
        for other_place, other in others:
            first, second = (
                data.problem.predicted(each.outputs[judged]) for each in (chosen, other)
            )
            if compare(data.problem, labels, first, second).better > preference:
                place, chosen = other_place, other
        return place

    def _logged(
        self, data: TrainingSet, tried: Sequence[tuple[Trial, CrossFit | Failed]]
    ) -> tuple[str, Sample]:
        """The training's run, and the rows that its signature was inferred from."""
        lakehouse, labels = self._lakehouse, self._lakehouse.catalog.labels
        source = TrainingData(
            lakehouse.store.path(labels), self.labelled.versions[labels.full_name], len(data.rows)
        )
        places = example_places(data.rows, EXAMPLE_ROWS)
        shown = data.rows.iloc[places].reset_index(drop=True)
        sample = Sample(shown, pd.Series(data.targets[places], name=lakehouse.model.labels.label))
        name = f"{self._decision.action} as of {self._as_of:%Y-%m-%d}"
        run_id = lakehouse.registry.log_training(name, source, tried, sample)
        lakehouse.registry.log_candidates(run_id, self._tried)
        return run_id, sample

    def _recipe(self, trial: Trial, data: TrainingSet, fitted: Fitted) -> Recipe:
        """What the training is repeated from."""
        first = self.labelled.rows.event_time.min()
        return Recipe(
            table_versions=dict(self.labelled.versions),
            rows_from=moment_of(first),
            rows_read=len(data.rows),
            rows_sha256=digest_of(data, fitted.weights),
            family=trial.family,
            parameters=dict(trial.parameters),
            seed=data.seed,
            libraries=libraries(),
        )

    def _training_record(
        self, fitted: Fitted, judged: np.ndarray, result: GateResult
    ) -> TrainingRecord:
        rows, taken, decision = self.labelled.rows, fitted.weights > 0, self._decision
        event_time = rows.event_time[taken]
        return TrainingRecord(
            as_of=self._as_of,
            trained_from=moment_of(event_time.min()),
            trained_to=moment_of(event_time.max()),
            trained_rows=int(taken.sum()),
            changed_at=None if decision.change_at is None else moment_of(decision.change_at),
            since_change=int(judged.sum()) if decision.change_at is not None else 0,
            judged=int(judged.sum()),
            wrong=int(rows.wrong(fitted.predictions)[judged].sum()),
            verdict=json.dumps(asdict(result)),
            table_versions=json.dumps(dict(self.labelled.versions)),
            action=decision.action,
        )

    def _baseline(self, fitted: Fitted, judged: np.ndarray, outcome: CrossFit) -> Any:
        """The profile that the version's windows are compared with.

        Of readings it is the stretches of time that it was trained on, with the rows that later
        ones contradict: else a feature would seem to have drifted where a rule has. Of label and
        prediction it is the judged rows, as the cross-fit found them. The bins are the champion's,
        so that counts of all versions add up.
        """
        model, labelled, ledger = self._lakehouse.model, self.labelled, self._models.ledger
        specs = specs_of(model)
        spans = RowRule(tuple(replace(segment, without=()) for segment in fitted.row_rule.segments))
        as_table = partial(pa.Table.from_pandas, preserve_index=False)
        readings, of_judged = (
            as_table(labelled.frame[mask]) for mask in (spans.mask(labelled.rows), judged)
        )
        found = pa.table(self._problem.columns(outcome.outputs[judged]))
        of_outcome = {model.labels.label: of_judged} | dict.fromkeys(found.column_names, found)
        tables = {spec.name: of_outcome.get(spec.name, readings) for spec in specs}
        edges = own_edges(specs, tables, model.metrics.bins)
        if ledger.champion is not None:
            edges |= edges_of(ledger.baseline(ledger.champion))
        return to_document(
            {
                spec.name: profiles_of(tables[spec.name], [spec], edges, BASELINE_VALUES)[spec.name]
                for spec in specs
            }
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
    return {
        name: quantile_edges(numbers_of(values.drop_null()), n_bins)
        for name, values in cells.items()
    }


def _cross_fitted(candidate: Candidate, shared: tuple[Any, ...]) -> Fitted | Failed | None:
    try:
        return cross_fit(candidate, *shared)
    except ValueError as error:
        return failure(error)


def _result_of(version: ModelVersion) -> GateResult:
    """The gate's result that a run which was cut off had come to; releases before 0.3 called it
    otherwise.
    """
    kept = json.loads(version.record.verdict)
    return GateResult(
        kept["passed"] if "passed" in kept else kept["promote"],
        kept["reason"],
        kept["evidence"],
        tuple(Difference(**each) for each in kept.get("differences", ())),
        tuple(Check(**each) for each in kept.get("checks", ())),
    )


def _milliseconds(model: Pipeline, data: TrainingSet) -> float:
    """Return how long it takes to score a thousand rows."""
    thousand = data.rows.iloc[np.arange(1_000) % len(data.rows)]
    began = time.perf_counter()
    data.problem.outputs(model, thousand)
    return 1_000 * (time.perf_counter() - began)
