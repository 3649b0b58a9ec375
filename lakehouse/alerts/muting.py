"""Why an alert is not said now: a silence, or another alert that tells its cause. Pure."""

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from lakehouse.alerts.events import INHIBITED, SILENCED, Followed
from lakehouse.errors import ConfigurationError


@dataclass(frozen=True)
class Silence:
    """A row of gold.alert_silence: labels that are not to be told of for a time."""

    silence_id: str
    matchers: Mapping[str, str]
    starts_at: dt.datetime
    ends_at: dt.datetime
    created_by: str
    comment: str
    recorded_at: dt.datetime

    @property
    def row(self) -> dict[str, Any]:
        """As the table has it."""
        return asdict(self)

    def covers(self, labels: Mapping[str, str], at: dt.datetime) -> bool:
        """Whether it holds for an alert with these labels at that moment."""
        matches = all(labels.get(name) == value for name, value in self.matchers.items())
        return matches and self.starts_at <= at < self.ends_at


def silence_of(
    matchers: Mapping[str, str], span: dt.timedelta, who: str, why: str, at: dt.datetime
) -> Silence:
    """A silence from now on.

    Raises:
        ConfigurationError: it says not what, for how long, who or why.
    """
    if not matchers or not who.strip() or not why.strip() or span <= dt.timedelta(0):
        raise ConfigurationError(
            "a silence needs labels that it matches, a span above 0, who silences and why"
        )
    digest = hashlib.sha256(f"{sorted(matchers.items())}{who}{at.isoformat()}".encode())
    return Silence(digest.hexdigest()[:12], matchers, at, at + span, who, why, at)


def ended(
    silences: Iterable[Silence], silence_id: str, who: str, why: str, at: dt.datetime
) -> Silence:
    """The silence of that id, over from now on.

    Raises:
        ConfigurationError: none of that id holds, or it is not said who ends it and why.
    """
    found = [each for each in in_force(silences) if each.silence_id == silence_id]
    if not found or found[0].ends_at <= at:
        raise ConfigurationError(f"--end: no silence {silence_id} is in force")
    if not who.strip() or not why.strip():
        raise ConfigurationError("--end: say who ends it and why (--reason)")
    return replace(found[0], ends_at=at, created_by=who, comment=why, recorded_at=at)


def as_words(silence: Silence) -> str:
    """A line for people: what, until when, who and why."""
    matchers = ", ".join(f"{name}={value}" for name, value in sorted(silence.matchers.items()))
    return (
        f"{silence.silence_id}  {matchers}  until {silence.ends_at:%Y-%m-%d %H:%M} UTC  "
        f"{silence.created_by}: {silence.comment}"
    )


def in_force(silences: Iterable[Silence]) -> list[Silence]:
    """Of each id the row that was recorded last."""
    newest: dict[str, Silence] = {}
    for silence in sorted(silences, key=lambda silence: silence.recorded_at):
        newest[silence.silence_id] = silence
    return list(newest.values())


def mute_of(
    followed: Followed,
    severity: str,
    silences: Sequence[Silence],
    firing: frozenset[str],
    at: dt.datetime,
) -> str | None:
    """Why nothing is to be said of an alert but that it is over; None: all is.

    Args:
        followed: the alert.
        severity: of it now; silences match it as a label.
        silences: in force.
        firing: names of the rules that fire now; they inhibit others also when silenced.
        at: wall-clock time.
    """
    labels = {**followed.alert.labels, "severity": severity}
    if any(silence.covers(labels, at) for silence in silences):
        return SILENCED
    if firing & {*followed.alert.rule.inhibited_by}:
        return INHIBITED
    return None
