"""Decide, train, judge, promote: each step on record before the next, so that a run that was cut off goes on."""

import datetime as dt
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import pyarrow.compute as pc
from pyspark.sql import functions as F

from lakehouse import stream
from lakehouse.errors import TrainingError
from lakehouse.estimators import problem_of
from lakehouse.registry import ModelVersion
from lakehouse.stations.lakehouse import Lakehouse
from lakehouse.stations.promotion import champion_of, finish_alias_move, is_judged, record_refusal, record_verdict
from lakehouse.stations.training import train, verdict_of
from lakehouse.statistics.quality import quality_from_row
from lakehouse.steps.decide import Champion, Decision, LabelledHour, decide
from lakehouse.store import Row

_LOOK_BACK = dt.timedelta(days=14)


def retrain_and_promote(lakehouse: Lakehouse, trigger: str) -> bool:
    """Decides as of the newest label batch, and acts on it: once, or for ever at an interval.

    Returns:
        Whether a model was promoted (once).
    """
    seconds = stream.interval_seconds(trigger)
    while True:
        with lakehouse.store.writing(lakehouse.catalog.decision, lakehouse.catalog.promotion):
            promoted = _step(lakehouse)
        if seconds is None:
            return promoted
        time.sleep(seconds)


def _step(lakehouse: Lakehouse) -> bool:
    finish_alias_move(lakehouse)
    last = _last_decision(lakehouse)
    since = last["as_of"] if last else None
    as_of = _newest_in_gold(lakehouse, since) if lakehouse.registry.champion() else _newest_in_silver(lakehouse, since)
    if as_of is None:
        return False
    decision = _decision_of(last) if last and last["as_of"] == as_of else _decided(lakehouse, as_of)
    if not decision.retrain or is_judged(lakehouse, as_of):
        return False
    return _trained_and_judged(lakehouse, decision, as_of)


def _last_decision(lakehouse: Lakehouse) -> Row | None:
    return max(lakehouse.store.rows(lakehouse.catalog.decision), key=lambda row: row["as_of"], default=None)


def _newest_in_gold(lakehouse: Lakehouse, since: dt.datetime | None) -> dt.datetime | None:
    """The newest label time that the facts have taken in: a decision rests on what they know, not on what is coming."""
    oldest = since - lakehouse.model.labels.horizon - _LOOK_BACK if since else None
    where = pc.field("window_date") >= oldest.date() if oldest else None
    known = [row["as_of"] for row in lakehouse.store.rows(lakehouse.catalog.window_facts, where, ["as_of"])]
    return max([*filter(None, known), *filter(None, [since])], default=None)


def _newest_in_silver(lakehouse: Lakehouse, since: dt.datetime | None) -> dt.datetime | None:
    """The newest label time in silver; files of older labels than the last decision's are skipped."""
    labels, label_time = lakehouse.store.read(lakehouse.catalog.labels), lakehouse.model.labels.time
    rows = labels if since is None else labels.where(F.col(label_time) >= F.lit(since))
    return rows.agg(F.max(label_time).alias("newest")).toArrow()["newest"][0].as_py()


def _decided(lakehouse: Lakehouse, as_of: dt.datetime) -> Decision:
    """Decides, and puts the decision on record."""
    catalog, store, model = lakehouse.catalog, lakehouse.store, lakehouse.model
    version = champion_of(lakehouse)
    champion = _champion(version) if version else None
    hours = _labelled_hours(lakehouse, version) if version else []
    n_labelled = 0 if version else _labelled_readings(lakehouse)
    decision = decide(champion, hours, n_labelled, model.training, model.margins)
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


def _labelled_readings(lakehouse: Lakehouse) -> int:
    key = lakehouse.model.key
    readings = lakehouse.store.read(lakehouse.catalog.readings).select(key)
    return readings.join(lakehouse.store.read(lakehouse.catalog.labels).select(key), key).count()


def _labelled_hours(lakehouse: Lakehouse, champion: ModelVersion) -> list[LabelledHour]:
    """The labelled hours since the champion's change point (without one, since its first row), in order of time."""
    since = champion.record.changed_at or champion.record.trained_from
    where = (pc.field("window_date") >= since.date()) & (pc.field("n_in_training") == 0)
    where &= pc.field("slice_key").is_null()
    rows = lakehouse.store.rows(lakehouse.catalog.window_facts, where, ["window_start", "model_version", "quality"])
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
    try:
        version = lakehouse.registry.trained_as_of(as_of) or train(lakehouse, decision, as_of)
    except TrainingError as error:
        record_refusal(lakehouse, as_of, str(error))
        return False
    if version is None:
        record_refusal(lakehouse, as_of, problem_of(lakehouse.model).too_few)
        return False
    verdict = verdict_of(version)
    record_verdict(lakehouse, as_of, "; ".join(decision.reasons), version, verdict)
    return verdict.promote
