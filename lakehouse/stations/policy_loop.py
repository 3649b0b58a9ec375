"""The loop of a classification: the policy decides, each step on record before the next (docs/policy.md)."""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lakehouse.estimators import Meaning
from lakehouse.stations.approval import unless_held
from lakehouse.stations.evidence import LABEL_TIME, Evidence
from lakehouse.stations.feature_columns import unknown_to_settings
from lakehouse.stations.label_batch import labelled_readings, newest_label
from lakehouse.stations.lakehouse import Lakehouse
from lakehouse.stations.policy_training import judged_before, train_by_policy
from lakehouse.stations.promotion import (
    LOOP,
    give_back,
    meaning_of,
    promotions,
    record_verdict,
    trained_or_refused,
    version_of,
)
from lakehouse.stations.shifts import blind_since, metric_windows, shifts_of
from lakehouse.statistics.columns import text_of
from lakehouse.steps.policy.decide import REFRESH, RETRAIN, Decision, Situation, decide
from lakehouse.steps.policy.detect import Detection, detect
from lakehouse.steps.policy.diagnose import Diagnosis, diagnose, where_contradicted
from lakehouse.steps.policy.document import instant, moment_of
from lakehouse.steps.policy.evidence import BinCounts, Recent, Region
from lakehouse.steps.policy.gate import duel, on_probation, probation
from lakehouse.steps.policy.history import history_of
from lakehouse.steps.policy.rules import Record
from lakehouse.steps.promote import REFUSE, VERDICTS
from lakehouse.store import Row

BLIND = "blind"
_CERTAIN = 0.999


def step_by_policy(lakehouse: Lakehouse) -> bool:
    """Probation, a decision, and what follows from it, as of the newest label batch; once for each.

    Returns:
        Whether a model was promoted.
    """
    last = max((row["as_of"] for row in _decisions(lakehouse)), default=None)
    as_of = newest_label(lakehouse, last)
    if as_of is None:
        return False
    evidence = _evidence(lakehouse, as_of)
    _tell_of_blindness(evidence)
    if as_of != last:
        given_back = _watch(evidence)
        _decide(_evidence(lakehouse, as_of) if given_back else evidence)
    promoted = False
    while (asked := _unanswered(lakehouse, as_of)) is not None:
        promoted |= _act(_evidence(lakehouse, as_of), asked)
    return promoted


def _decisions(lakehouse: Lakehouse) -> list[Row]:
    """The decisions, in the order in which they were written; those on labels that are overdue are none."""
    rows = [row for row in lakehouse.store.rows(lakehouse.catalog.decision) if row["action"] != BLIND]
    return sorted(rows, key=lambda row: (row["as_of"], row["decided_at"]))


def _evidence(lakehouse: Lakehouse, as_of: dt.datetime) -> Evidence:
    return Evidence(lakehouse, history_of(promotions(lakehouse), _decisions(lakehouse)), as_of)


def _unanswered(lakehouse: Lakehouse, as_of: dt.datetime) -> Decision | None:
    """The decision that has no verdict yet; after a refused alarm of the same night, what is left of it."""
    asked = [row for row in _decisions(lakehouse) if row["as_of"] == as_of and row["retrain"]]
    verdicts = [row for row in promotions(lakehouse) if (row["as_of"], row["who"]) == (as_of, LOOP)]
    verdicts = [row for row in verdicts if row["action"] in VERDICTS]
    if len(verdicts) < len(asked):
        return _decision_of(asked[len(verdicts)])
    if asked and asked[-1]["action"] == RETRAIN and verdicts[-1]["action"] == REFUSE:
        again = _decide(_evidence(lakehouse, as_of), refused=True)
        return again if again.retrain else None
    return None


def _watch(evidence: Evidence) -> bool:
    """Gives the alias back where the labels since its promotion say that the version before was better; whether so."""
    lakehouse, history, champion = evidence.lakehouse, evidence.history, evidence.history.champion_record
    settings = lakehouse.model.policy.probation
    if champion is None or history.before is None:
        return False
    promoted = moment_of(champion.as_of)
    later = np.array([start >= promoted for start in evidence.hours["window_start"].to_pylist()], dtype=bool)
    if not on_probation(int(evidence.hours["labelled"].to_numpy()[later].sum()), settings):
        return False
    rows = evidence.newest_calls(promoted - lakehouse.model.labels.horizon)
    rows = rows[rows[LABEL_TIME] > promoted]
    if not len(rows) or not on_probation(len(rows), settings):
        return False
    before, now = (evidence.called_by(version, rows) for version in (history.before, champion.version))
    verdict = probation(duel(evidence.codes(rows[lakehouse.model.labels.label]), before, now), settings)
    if not verdict.passed:
        give_back(lakehouse, evidence.as_of, str(history.before), verdict.reason, verdict.evidence)
    return not verdict.passed


def _decide(evidence: Evidence, refused: bool = False) -> Decision:
    """Decides, and puts the decision on record; after a refused alarm only where there is something to do."""
    lakehouse, history = evidence.lakehouse, evidence.history
    if history.champion is None:
        decision = _by_rules(evidence, labelled_readings(lakehouse), None, refused)
        _record(evidence, decision, None)
    elif history.champion_record is None:
        decision = _without_record(evidence)
        _record(evidence, decision, None)
    else:
        record = _facts(evidence)
        decision = _dated(evidence, record, _by_rules(evidence, evidence.labelled, record, refused))
        if decision.retrain or not refused:
            _record(evidence, decision, _diagnosis(evidence, record, decision))
    return decision


def _by_rules(evidence: Evidence, labelled: int, record: Record | None, refused: bool) -> Decision:
    model, history = evidence.lakehouse.model, evidence.history
    as_of, champion = instant(evidence.as_of), history.champion_record
    situation = Situation(as_of, champion, labelled, history.tried, record, refused)
    return decide(situation, model.training.first_after, model.policy)


def _without_record(evidence: Evidence) -> Decision:
    """A champion of an older release: what is hard for it is not on record, so it is trained again.

    The challenger is refused only where it is credibly worse: without a record the policy sees no drift.
    """
    champion = str(evidence.history.champion)
    changed_at = version_of(evidence.lakehouse, champion).record.changed_at
    words = f"version {champion} was trained by a release without a policy record"
    needed = 1 - evidence.lakehouse.model.policy.probation.confidence
    since = None if changed_at is None else instant(changed_at)
    return Decision(REFRESH, "no_record", (words,), change_at=since, confidence=needed)


def _facts(evidence: Evidence) -> Record:
    """What the rules look at."""
    counts, history = evidence.counts, evidence.history
    hours, place = np.unique(counts.hour, return_inverse=True)
    labelled, wrong = (np.bincount(place, each, len(hours)).astype(float) for each in (counts.labelled, counts.wrong))
    detection = _detected(evidence, counts, evidence.recent())
    metrics = metric_windows(evidence)
    as_of = instant(evidence.as_of)
    return Record(as_of, detection, hours, labelled, wrong, metrics, history.trainings, history.refused)


def _detected(evidence: Evidence, counts: BinCounts, recent: Recent | None) -> Detection:
    memory = np.timedelta64(evidence.lakehouse.model.policy.detector.memory)
    return detect(counts, evidence.history.versions, int(evidence.history.champion or 0), memory, recent)


def _dated(evidence: Evidence, record: Record, decision: Decision) -> Decision:
    """An alarm that the detector dated to an hour, dated to the row."""
    found = record.detection
    if decision.action != RETRAIN or decision.change_at != found.change_at:
        return decision
    between = found.interval(_CERTAIN)
    if between is None:
        return decision
    since = between[0]
    exact = _detected(evidence, evidence.dated_counts(since), evidence.recent(since))
    return replace(decision, change_at=exact.change_at)


def _diagnosis(evidence: Evidence, record: Record, decision: Decision) -> Diagnosis:
    """Which kinds of drift there are; where, if the rule has changed."""
    model, champion = evidence.lakehouse.model, int(evidence.history.champion or 0)
    regions: tuple[Region, ...] = ()
    if decision.action == RETRAIN and decision.change_at is not None:
        rows = evidence.newest_calls(moment_of(decision.change_at))
        regions = where_contradicted(evidence.rows_of(rows), evidence.called_by(champion, rows), decision.change_at)
    log_alarm, classes = math.log(model.policy.detector.alarm), list(map(text_of, model.classes))
    is_dated = decision.change_between is not None
    return diagnose(record.detection, log_alarm, shifts_of(evidence), regions, classes, is_dated)


def _record(evidence: Evidence, decision: Decision, diagnosis: Diagnosis | None) -> None:
    """Writes the decision's row."""
    decision = unless_held(evidence.lakehouse, decision)
    told = [*(diagnosis.sentences if diagnosis and diagnosis.kinds else ()), *_other_meaning(evidence)]
    row = {
        "action": decision.action,
        "retrain": decision.retrain,
        "rule": decision.rule,
        "reasons": [*decision.reasons, *told],
        "evidence": {**decision.evidence, "needed": decision.confidence, "sure": float(decision.sure)},
        "change_at": _moment(decision.change_at),
        "change_between": _between(decision.change_between),
    }
    if diagnosis:
        row |= {
            "confidence": diagnosis.confidence,
            "drift_kind": list(diagnosis.kinds),
            "region": list(diagnosis.where),
            "advice": diagnosis.advice,
        }
    _append(evidence, row)


def _other_meaning(evidence: Evidence) -> list[str]:
    """What the champion does not share with the settings, which a training would bring."""
    lakehouse, champion = evidence.lakehouse, evidence.history.champion
    if champion is None:
        return []
    meaning = meaning_of(lakehouse, str(champion))
    difference, gone = meaning.difference(Meaning.of(lakehouse.model)), unknown_to_settings(lakehouse, meaning)
    words = [f"version {champion} {difference}; the next training follows the settings"] if difference else []
    return words + [f"{name} does not come any more and counts as missing" for name in gone]


def _append(evidence: Evidence, row: Mapping[str, Any]) -> None:
    lakehouse, champion = evidence.lakehouse, evidence.history.champion
    catalog = lakehouse.catalog
    full = {
        "as_of": evidence.as_of,
        "model_version": None if champion is None else str(champion),
        "table_versions": lakehouse.store.versions(catalog.window_facts, catalog.labels),
        "decided_at": dt.datetime.now(dt.UTC),
        **row,
    }
    lakehouse.store.append_rows([full], catalog.decision)


def _tell_of_blindness(evidence: Evidence) -> None:
    """Labels that are overdue are an alarm of their own, not a drift: once for the newest labels that came."""
    lakehouse, as_of = evidence.lakehouse, evidence.as_of
    told = lakehouse.store.rows(lakehouse.catalog.decision)
    if evidence.history.champion is None or any((r["as_of"], r["action"]) == (as_of, BLIND) for r in told):
        return
    since = blind_since(evidence)
    if since is None:
        return
    words = f"blind since {since:%Y-%m-%d %H:%M}: labels are overdue, the newest is of {as_of:%Y-%m-%d %H:%M}"
    row = {"action": BLIND, "retrain": False, "rule": "label_outage", "reasons": [words], "evidence": {}}
    _append(evidence, row | {"change_at": since, "advice": "find out why no labels come; nothing is known till then"})


def _decision_of(row: Mapping[str, Any]) -> Decision:
    """The decision that stands in the row."""
    evidence, between = dict(row["evidence"]), row["change_between"]
    return Decision(
        row["action"],
        row["rule"],
        tuple(row["reasons"]),
        evidence,
        None if row["change_at"] is None else instant(row["change_at"]),
        None if between is None else (instant(between["from"]), instant(between["to"])),
        evidence.get("needed", 0.0),
        bool(evidence.get("sure", 1.0)),
    )


def _act(evidence: Evidence, decision: Decision) -> bool:
    """Trains, or takes up what was trained before a run was cut off, and acts on the verdict."""
    lakehouse, as_of, why = evidence.lakehouse, evidence.as_of, decision.reasons[0]
    judged = trained_or_refused(
        lakehouse, as_of, lambda: judged_before(evidence, decision) or train_by_policy(evidence, decision)
    )
    if judged is None:
        return False
    return record_verdict(lakehouse, as_of, why, judged.version, judged.verdict, judged.record.to_json())


def _moment(moment: np.datetime64 | None) -> dt.datetime | None:
    return None if moment is None else moment_of(moment)


def _between(interval: Sequence[np.datetime64] | None) -> dict[str, dt.datetime] | None:
    return None if interval is None else {"from": moment_of(interval[0]), "to": moment_of(interval[1])}
