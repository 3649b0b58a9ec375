"""The loop of a regression: the margins of its settings say when to train and who may take over."""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import pyarrow.compute as pc

from lakehouse.registry import ModelVersion
from lakehouse.stations.approval import unless_held
from lakehouse.stations.label_batch import labelled_readings, newest_label
from lakehouse.stations.lakehouse import Lakehouse
from lakehouse.stations.promotion import champion_of, is_judged, record_verdict, trained_or_refused
from lakehouse.stations.training import train, verdict_of
from lakehouse.statistics.quality import quality_from_row
from lakehouse.steps.decide import Champion, Decision, LabelledHour, decide
from lakehouse.store import Row, since_day


def step_by_margins(lakehouse: Lakehouse) -> bool:
    """Decides by the margins of the settings, and acts on it; returns whether a model was promoted."""
    last = _last_decision(lakehouse)
    as_of = newest_label(lakehouse, last["as_of"] if last else None)
    if as_of is None:
        return False
    decision = _decision_of(last) if last and last["as_of"] == as_of else _decided(lakehouse, as_of)
    if not decision.retrain or is_judged(lakehouse, as_of):
        return False
    return _trained_and_judged(lakehouse, decision, as_of)


def _last_decision(lakehouse: Lakehouse) -> Row | None:
    return max(lakehouse.store.rows(lakehouse.catalog.decision), key=lambda row: row["as_of"], default=None)


def _decided(lakehouse: Lakehouse, as_of: dt.datetime) -> Decision:
    """Decides, and puts the decision on record."""
    catalog, store, model = lakehouse.catalog, lakehouse.store, lakehouse.model
    version = champion_of(lakehouse)
    champion = _champion(version) if version else None
    hours = _labelled_hours(lakehouse, version) if version else []
    n_labelled = 0 if version else labelled_readings(lakehouse)
    decision = unless_held(lakehouse, decide(champion, hours, n_labelled, model.training, model.margins))
    row = {
        "as_of": as_of,
        "model_version": champion.version if champion else None,
        "action": decision.action,
        "retrain": decision.retrain,
        "rule": decision.rule,
        "reasons": list(decision.reasons),
        "evidence": decision.evidence,
        "change_at": decision.change_at,
        "table_versions": store.versions(catalog.window_facts, catalog.labels),
        "decided_at": dt.datetime.now(dt.UTC),
    }
    store.append_rows([row], catalog.decision)
    return decision


def _decision_of(row: Mapping[str, Any]) -> Decision:
    return Decision(row["action"], row["rule"], tuple(row["reasons"]), dict(row["evidence"]), row["change_at"])


def _champion(version: ModelVersion) -> Champion:
    record = version.record
    return Champion(version.version, record.judged, record.wrong, record.changed_at, record.since_change)


def _labelled_hours(lakehouse: Lakehouse, champion: ModelVersion) -> list[LabelledHour]:
    """The labelled hours since the champion's change point (without one, since its first row), in order of time."""
    since = champion.record.changed_at or champion.record.trained_from
    where = (pc.field("n_in_training") == 0) & pc.field("slice_key").is_null()
    columns = ["window_start", "model_version", "quality"]
    rows = lakehouse.store.rows(lakehouse.catalog.window_facts, where, columns, since_day(since))
    counted: dict[tuple[dt.datetime, str], Counter[str]] = defaultdict(Counter)
    for row in rows:  # facts may be of finer windows, and what is watched must not change when to retrain
        quality, hour = quality_from_row(row["quality"]), row["window_start"].replace(minute=0)
        wrong = quality.n_labelled - quality.n_right
        counted[hour, row["model_version"]].update(labelled=quality.n_labelled, wrong=wrong)
    return [
        LabelledHour(hour, version, counts["labelled"], counts["wrong"])
        for (hour, version), counts in sorted(counted.items(), key=lambda item: (item[0][0], int(item[0][1])))
        if counts["labelled"]
    ]


def _trained_and_judged(lakehouse: Lakehouse, decision: Decision, as_of: dt.datetime) -> bool:
    """Trains, or takes up what was trained before a run was cut off, and acts on the verdict."""
    registry = lakehouse.registry
    version = trained_or_refused(
        lakehouse, as_of, lambda: registry.trained_as_of(as_of, decision.action) or train(lakehouse, decision, as_of)
    )
    if version is None:
        return False
    return record_verdict(lakehouse, as_of, "; ".join(decision.reasons), version, verdict_of(version))
