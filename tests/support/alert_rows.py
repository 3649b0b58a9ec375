"""Builders for alerts: a model with rules, rows of gold, steps and events."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from lakehouse.alerts.alerts import Alert
from lakehouse.alerts.events import Event, events_of, followed
from lakehouse.alerts.machine import Step
from lakehouse.alerts.observations import Readings
from lakehouse.settings import AlertRuleSettings, AlertSettings, ModelSettings

DAY, HOUR = dt.timedelta(days=1), dt.timedelta(hours=1)
START = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
GLASSWARE = yaml.safe_load(Path("conf/glassware.yaml").read_text(encoding="utf-8"))


def model_with(**alerts: Any) -> ModelSettings:
    """Glassware with these alerts."""
    return ModelSettings.model_validate(GLASSWARE | {"alerts": alerts})


def rule(**given: Any) -> AlertRuleSettings:
    """A rule on `seconds` above 2, if nothing else is given; `for_` is `for`."""
    words = {name.rstrip("_"): value for name, value in given.items()}
    kinds = {"metric", "all", "any", "not"}
    what = {} if kinds & words.keys() else {"metric": "seconds"}
    limit = (
        {} if {"above", "below"} & words.keys() or "metric" not in what | words else {"above": 2}
    )
    return AlertRuleSettings.model_validate({"name": "slow", **what, **limit, **words})


def steps(values: Iterable[float | None], of: AlertRuleSettings, first: int = 0) -> list[Step]:
    """A day's window for each value; None is missing."""
    found = []
    for place, value in enumerate(values, first):
        start = START + place * DAY
        begins = goes_on = None
        if value is not None:
            assert of.above is not None
            begins = value > of.above
            goes_on = value >= of.recovers_below if of.recovers_below is not None else begins
        figures = {} if value is None else {"seconds": value}
        found.append(Step(start, start + DAY, begins, goes_on, figures=figures))
    return found


def alert(
    values: Sequence[float | None], of: AlertRuleSettings | None = None, **labels: str
) -> Alert:
    """The rule on a day's window for each value, seen when the newest is over."""
    of = of or rule()
    found = steps(values, of)
    labels = {"alertname": of.name, "model": "glassware", **labels}
    return Alert(of, labels, tuple(found), found[-1].end if found else START, DAY)


def story(
    values: Sequence[float | None],
    of: AlertRuleSettings | None = None,
    settings: AlertSettings | None = None,
    mutes: Mapping[int, str] | None = None,
) -> list[Event]:
    """The events of an alert that is evaluated after each window; `mutes` by place of a window."""
    settings, history = settings or AlertSettings(), []
    for place in range(1, len(values) + 1):
        now = alert(values[:place], of)
        each = followed(now, history, settings)
        mute = (mutes or {}).get(place - 1)
        new = events_of(each, mute, settings, now.now)
        assert not events_of(followed(now, [*history, *new], settings), mute, settings, now.now)
        history += new
    return history


def said(events: Iterable[Event]) -> list[tuple[int, str]]:
    """Place of the newest window, and kind, of what goes out."""
    return [((each.as_of - START) // DAY - 1, each.kind) for each in events if each.held is None]


def held(events: Iterable[Event]) -> list[tuple[int, str, str]]:
    """The same of what is held, and why."""
    return [
        ((each.window_end - START) // DAY - 1, each.kind, each.held)
        for each in events
        if each.held is not None
    ]


def event(number: int = 0, kind: str = "firing", **given: Any) -> Event:
    """An event of the alert `fingerprint`, recorded at START."""
    base = Event(
        event_id="",
        fingerprint="f0",
        sequence=number,
        rule="slow",
        labels={"alertname": "slow", "model": "glassware"},
        kind=kind,
        status="ok" if kind == "resolved" else "firing",
        severity="warning",
        as_of=START,
        window_start=START - DAY,
        window_end=START,
        began_at=START,
        figures={"seconds": 2.5},
        summary="glassware: Scoring is slow; seconds 2.5",
        runbook="https://example.com/runbook#slow",
        link="",
        held=None,
        recorded_at=START,
    )
    changed = replace(base, **given)
    return replace(changed, event_id=f"{changed.fingerprint}-{number}")


def window_row(day: int, **given: Any) -> dict[str, Any]:
    """A row of gold.profile_metrics: a whole day, final, of all versions together."""
    start = START + day * DAY
    return {
        "window": {"start": start, "end": start + DAY},
        "window_date": start.date(),
        "granularity": "1 day",
        "log_type": "INPUT",
        "model_version": "*",
        "slice_key": None,
        "slice_value": None,
        "column_name": ":table",
        "is_final": True,
        "in_training_window": False,
        "as_of": start + 3 * DAY,
        "label_coverage": 1.0,
        **given,
    }


def drift_row(day: int, column: str, psi: float, **given: Any) -> dict[str, Any]:
    """A row of gold.drift_metrics, against the training data."""
    own = {
        "column_name": column,
        "drift_type": "BASELINE",
        "population_stability_index": psi,
        "tv_distance": None,
        "adjusted_pvalue": 1e-9 if psi > 0.2 else 0.5,
    }
    return window_row(day) | own | given


def day_row(day: int, right: int | None, labelled: int = 200, **given: Any) -> dict[str, Any]:
    """A row of gold.counterfactual."""
    return {
        "window_date": (START + day * DAY).date(),
        "alternative": "never",
        "n_labelled": labelled,
        "n_right": right,
        "n_right_otherwise": right,
        **given,
    }


def readings(now: dt.datetime, **rows: Any) -> Readings:
    """Rows as of a moment; the wall clock shows the same."""
    return Readings(now=now, at=rows.pop("at", now), **rows)
