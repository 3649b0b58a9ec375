"""Models for the page, made of a few rows: what a row does not name is None."""

import datetime as dt
import math
import random
from collections.abc import Iterable, Mapping
from typing import Any

import sqlglot

from lakehouse.dashboard.queries import PERCENTS, RECENT_DAYS, queries_of
from lakehouse.dashboard.rows import Answer, ModelAnswers
from lakehouse.storage.table_state import TableState

QUERIES = queries_of("model_version", "1 day")
COLUMNS = {
    name: tuple(sqlglot.parse_one(sql, read="spark").named_selects) for name, sql in QUERIES.items()
}
FIRST = dt.date(2024, 3, 1)
DAY = dt.timedelta(days=1)


def moment(text: str) -> dt.datetime:
    """A moment in UTC."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def model(name: str = "glassware", **rows: Iterable[Mapping[str, Any]]) -> ModelAnswers:
    """A model whose queries answer with these rows, and with none where none are given."""
    answers = {
        query: Answer(
            sql,
            COLUMNS[query],
            tuple(dict.fromkeys(COLUMNS[query]) | dict(row) for row in rows.get(query, ())),
        )
        for query, sql in QUERIES.items()
    }
    return ModelAnswers(name, answers, (TableState("gold.decision", 7, 3, 43, 12_000),))


def days(accuracies: Iterable[float | None], **others: Any) -> list[dict[str, Any]]:
    """Final days of 100 labelled rows from 2024-03-01 on."""
    return [
        {
            "day": FIRST + place * DAY,
            "n_rows": 100,
            "n_labelled": 0 if accuracy is None else 100,
            "n_waiting": 100 if accuracy is None else 0,
            "label_coverage": 0.0 if accuracy is None else 1.0,
            "is_final": True,
            "in_training_window": False,
            "accuracy": accuracy,
            "accuracy_low": None if accuracy is None else max(accuracy - 0.05, 0.0),
            "accuracy_high": None if accuracy is None else min(accuracy + 0.04, 1.0),
        }
        | others
        for place, accuracy in enumerate(accuracies)
    ]


def alarm(kind: str, **others: Any) -> dict[str, Any]:
    """An open alarm since 2024-03-05."""
    return {"alarm": kind, "subject": "temp", "since": moment("2024-03-05")} | others


def retrained(as_of: str, change: str, **others: Any) -> dict[str, Any]:
    """A decision to retrain for a change of the rule."""
    return {
        "as_of": moment(as_of),
        "action": "retrain",
        "score": 20.0,
        "threshold": 9.6,
        "drift": "concept",
        "change_at": moment(change),
        "reason": "accuracy fell",
    } | others


def promoted(as_of: str, version: str, **others: Any) -> dict[str, Any]:
    """A promotion."""
    return {
        "as_of": moment(as_of),
        "action": "promote",
        "to_version": version,
        "from_version": None,
        "reason": "better",
        "recorded_at": moment(as_of),
    } | others


def origin(
    as_of: str, version: str, *, chance: random.Random | None = None, **others: Any
) -> dict[str, Any]:
    """A row of gold.promotion_provenance; digests differ with the chance."""
    chance, day, action = chance or random.Random(0), moment(as_of), others.get("action", "promote")
    decision = f"decision/{as_of}/retrain"
    return {
        "promotion_id": f"promotion/{as_of}/{action}/{version}",
        "as_of": day,
        "recorded_at": day,
        "action": action,
        "from_version": None,
        "to_version": version,
        "is_champion": False,
        "reason": f"better with probability {chance.random():.3f}",
        "decision_id": decision,
        "decision_rule": "shiryaev_roberts",
        "decision_reason": f"accuracy fell: evidence e^{chance.uniform(9, 20):.1f}",
        "windows_id": f"windows/1 day/{(day - 9 * DAY).date()}..{as_of}",
        "facts_id": "gold.window_facts@36",
        "rows_compared": chance.randrange(100, 999),
        "run_id": f"{chance.getrandbits(128):032x}",
        "model_sha256": f"{chance.getrandbits(256):064x}",
        "trained_from": day - 30 * DAY,
        "trained_to": day,
        "trained_rows": chance.randrange(1_000, 9_999),
        "readings_id": "silver.sensor_reading@42",
        "labels_id": "silver.quality_check@41",
        "files": 7,
        "first_file": 68,
        "last_file": 80,
        "file_lines": 1_344,
        "commits": 7,
    } | others


def noisy(name: str, n_days: int, seed: int) -> ModelAnswers:
    """A model of so many days, no two alike: an alarm a month, and three columns."""
    chance = random.Random(seed)
    daily = days([min(0.94 + chance.gauss(0, 0.02), 1.0) for _ in range(n_days)])
    drift, columns = [], []
    for row in daily:
        row["accuracy_low"] = row["accuracy"] - 0.05 - abs(chance.gauss(0, 0.003))
        row["accuracy_high"] = min(row["accuracy"] + 0.04 + abs(chance.gauss(0, 0.003)), 1.0)
        for column in ("duration", "prediction", "pressure", "quality", "temp"):
            index = abs(chance.gauss(0.1, 0.04))
            drift.append(
                {"day": row["day"], "column_name": column, "drift_index": index}
                | {"adjusted_pvalue": chance.random()}
            )
            mean = chance.gauss(355, 0.3)
            columns.append(
                {"day": row["day"], "column_name": column, "n": 192, "percent_null": 0.0}
                | {"avg": mean, "min": mean - chance.gauss(6, 0.5)}
                | {"max": mean + chance.gauss(6, 0.5)}
            )
    nights = [_night(row["day"], place, chance) for place, row in enumerate(daily)]
    return model(
        name,
        daily=daily,
        gain=[_gain(row, chance) for row in daily],
        measures=[_measures(row["day"], chance) for row in daily],
        decisions=nights,
        changes=[
            {"as_of": night["as_of"], "action": "retrain", "change_at": night["change_at"]}
            | {"change_from": night["change_at"] - DAY, "change_to": night["change_at"] + DAY}
            for night in nights
            if night["action"] == "retrain"
        ],
        moves=[
            promoted(str(night["as_of"].date()), str(place), reason=night["reason"])
            for place, night in enumerate(nights)
            if night["action"] == "retrain"
        ],
        provenance=[
            origin(str(night["as_of"].date()), str(place), chance=chance, action=action)
            for place, night in enumerate(nights)
            for action in ("refuse", "promote")
            if night["action"] == "retrain"
        ],
        distribution=_distribution(daily[-1]["day"]) if daily else (),
        drift=drift,
        columns=columns,
        distances=[
            {"day": row["day"], "column_name": row["column_name"]}
            | {"ks_statistic": row["drift_index"] / 2, "wasserstein_distance": row["drift_index"]}
            for row in drift[-RECENT_DAYS * 3 :]
        ],
        quantiles=[
            {"day": row["day"], "column_name": row["column_name"]}
            | {f"q{part}": row["avg"] + (part - 50) / 10 for part in (5, 25, 50, 75, 95)}
            for row in columns[-RECENT_DAYS * 3 :]
        ],
    )


def _distribution(day: dt.date) -> list[dict[str, Any]]:
    """Values of temp: 350 to 360 in training, all the same share; 351 to 361 on a day."""
    return [
        {"log_type": kind, "day": on, "column_name": "temp", "n": 500}
        | {"min": low, "max": low + 10}
        | {f"q{each}": low + each / 10 for each in PERCENTS}
        for kind, on, low in (("BASELINE", None, 350.0), ("INPUT", day, 351.0))
    ]


def _night(day: dt.date, place: int, chance: random.Random) -> dict[str, Any]:
    as_of = dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC) + 2 * DAY
    score = abs(chance.gauss(4, 2))
    if place % 30 == 29:
        change = as_of - dt.timedelta(hours=chance.uniform(30, 60))
        reason = f"accuracy fell: evidence e^{score + 9:.1f} exceeds alarm, e^9.6"
        return retrained(
            str(as_of.date()), str(change.replace(tzinfo=None)), score=score + 9, reason=reason
        )
    return {"as_of": as_of, "action": "keep", "score": score, "threshold": 9.6} | {
        "rule": "shiryaev_roberts",
        "confidence": chance.random(),
        "reason": f"no credible fall of accuracy: evidence e^{score:.1f} of e^9.6",
    }


def _gain(row: Mapping[str, Any], chance: random.Random) -> dict[str, Any]:
    return {
        "day": row["day"],
        "n_labelled": 100,
        "accuracy": row["accuracy"],
        "accuracy_without_retraining": row["accuracy"] - abs(chance.gauss(0.2, 0.03)),
        "accuracy_retrained_daily": row["accuracy"] - abs(chance.gauss(0.04, 0.02)),
        "errors_avoided": round(chance.gauss(20, 4)),
        "errors_avoided_so_far": row["day"].toordinal() * 20 % 30_000,
        "errors_avoided_against_daily_so_far": row["day"].toordinal() * 3 % 9_000,
        "daily_trainings_so_far": 10,
    }


def _measures(day: dt.date, chance: random.Random) -> dict[str, Any]:
    return {
        "day": day,
        "log_loss": math.exp(chance.gauss(-1.6, 0.2)),
        "roc_auc_score": min(0.96 + chance.gauss(0, 0.01), 1.0),
        "brier_score": abs(chance.gauss(0.05, 0.01)),
        "expected_calibration_error": abs(chance.gauss(0.03, 0.01)),
    }
