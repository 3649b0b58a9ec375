"""The gate under the policy: on which rows, slices and figures a challenger is judged."""

import time
from dataclasses import replace

import numpy as np
import pandas as pd
from pyspark.sql import functions as F
from sklearn.pipeline import Pipeline

from lakehouse.estimators import CrossFit, TrainingSet, problem_of
from lakehouse.stations.evidence import Evidence
from lakehouse.stations.label_batch import labels_in_force
from lakehouse.stations.lakehouse import Lakehouse
from lakehouse.stations.policy_rows import Training
from lakehouse.stations.promotion import champion_of, version_of
from lakehouse.stations.training import verdict_on
from lakehouse.steps.aggregate_kpis import primary_rows
from lakehouse.steps.policy.candidates import Fitted, classes_called, judged_at_gate
from lakehouse.steps.policy.document import instant
from lakehouse.steps.policy.gate import Challenger, judge
from lakehouse.steps.promote import Verdict, judge_first


def verdict_on_trained(training: Training, fitted: Fitted, model: Pipeline, result: CrossFit) -> Verdict:
    """The verdict on a model that was trained: the first one's, or the gate's between it and the champion.

    Args:
        training: whose rows it is judged on.
        fitted: the candidate that it is of, with its own cross-fitted calls.
        model: fitted to the candidate's rows.
        result: its outputs for all rows of the training, cross-fitted.
    """
    lakehouse, data = training.evidence.lakehouse, training.data()

    def compared(*_: object) -> Verdict:
        return _compared(training, fitted, model.classes_, _milliseconds(model, data))

    judged = CrossFit(result.outputs[data.judged], result.metrics)
    return verdict_on(lakehouse, champion_of(lakehouse), model, judged, data, compared)


def verdict_on_archived(training: Training, fitted: Fitted) -> Verdict:
    """The gate's verdict on an archived version as it is, whose calls the candidate holds."""
    return _compared(training, fitted, training.evidence.classes_of(int(fitted.candidate.version or 0)), None)


def _milliseconds(model: Pipeline, data: TrainingSet) -> float:
    """How long it takes to score a thousand rows."""
    rows = data.rows[data.features.names]
    thousand = rows.iloc[np.arange(1_000) % len(rows)]
    began = time.perf_counter()
    data.problem.outputs(model, thousand)
    return 1_000 * (time.perf_counter() - began)


def _compared(training: Training, fitted: Fitted, own: np.ndarray, milliseconds: float | None) -> Verdict:
    """The gate, on judged rows whose labels came after the champion was trained, and that both models can call.

    Args:
        training: whose rows it is judged on.
        fitted: the challenger, cross-fitted.
        own: codes of the classes that it can call.
        milliseconds: it takes for a thousand rows.
    """
    evidence, rows, judged = training.evidence, training.rows, training.judged
    policy, history = evidence.lakehouse.model.policy, evidence.history
    champion = history.champion_record
    trained = champion.as_of if champion else _legacy_as_of(evidence)
    version = history.champion or 0
    candidates = judged_at_gate(fitted, rows, judged, trained)
    by_challenger, by_champion = (np.isin(rows.codes, known) for known in (own, evidence.classes_of(version)))
    new = candidates & by_challenger & by_champion
    left_out = int(candidates.sum() - new.sum())
    if left_out and not new.any():
        return _of_other_classes(training, fitted, left_out)
    before = training.calls.get(version)
    calls = evidence.called_by(version, training.labelled[new]) if before is None else before[new]
    classes = classes_called(fitted, judged)
    slices = _slices(evidence.lakehouse, training.labelled.loc[new, evidence.lakehouse.model.key])
    challenger = Challenger(
        rows.codes[new],
        calls,
        fitted.calls[new],
        classes=classes,
        milliseconds=milliseconds,
        slices=slices,
        of_new_classes=int((candidates & by_challenger & ~by_champion).sum()),
    )
    judgement = judge(challenger, training.decision.confidence, policy.gate)
    words = f"; {left_out} more have a label that one of them does not know" if left_out else ""
    evidence_of = {**judgement.evidence, **_accuracies(challenger), **({"left_out": left_out} if left_out else {})}
    return Verdict(judgement.passed, f"{judgement.reason}{words}", evidence_of)


def _of_other_classes(training: Training, fitted: Fitted, rows: int) -> Verdict:
    """Where all labels are ones that the champion cannot call, the challenger is judged as a first model is."""
    lakehouse = training.evidence.lakehouse
    judged = training.judged & (fitted.calls >= 0)
    problem, codes, calls = problem_of(lakehouse.model), training.rows.codes[judged], fitted.calls[judged]
    verdict = judge_first(problem, codes, calls, lakehouse.model.margins)
    words = f"the champion knows none of the labels of {rows} rows, so it is judged as a first model: {verdict.reason}"
    return replace(verdict, reason=words)


def _slices(lakehouse: Lakehouse, keys: pd.Series) -> dict[str, np.ndarray]:
    """For each slice of the settings and each value of it, which of the rows lie in it."""
    model, catalog, store = lakehouse.model, lakehouse.catalog, lakehouse.store
    if not model.metrics.slices or not len(keys):
        return {}
    near = F.col(model.key).between(*keys.agg(["min", "max"]).tolist())
    predicted, read = (store.read(table).where(near) for table in (catalog.predictions, catalog.readings))
    primary = primary_rows(predicted, labels_in_force(lakehouse).where(near), read, model)
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
    return instant(version_of(evidence.lakehouse, str(evidence.history.champion)).record.as_of)
