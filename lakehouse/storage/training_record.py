"""A registered version, and what is on record of its training."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingRecord:
    """What stays on record of how a version was trained.

    Attributes:
        as_of: newest label time that had landed.
        trained_from: event time of the first row.
        trained_to: event time of the last row.
        trained_rows: how many.
        changed_at: change point that it was trained from; None for a first model.
        since_change: labelled rows since then; 0 for a first model.
        judged: rows that it was cross-fitted on.
        wrong: how many of them it got wrong.
        verdict: the gate's, as JSON; kept so that a run that was cut off ends as it began.
        table_versions: Delta versions read, as JSON.
        action: the decision that asked for it; empty where an older release trained it.
    """

    as_of: dt.datetime
    trained_from: dt.datetime
    trained_to: dt.datetime
    trained_rows: int
    changed_at: dt.datetime | None
    since_change: int
    judged: int
    wrong: int
    verdict: str
    table_versions: str
    action: str = ""

    def to_tags(self) -> dict[str, str]:
        """As MLflow keeps it."""
        return {key: as_tag(value) for key, value in vars(self).items() if value is not None}

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> "TrainingRecord":
        """As MLflow gave it back."""
        return cls(
            as_of=_moment(tags["as_of"]),
            trained_from=_moment(tags["trained_from"]),
            trained_to=_moment(tags["trained_to"]),
            trained_rows=int(tags["trained_rows"]),
            changed_at=_moment(tags["changed_at"]) if "changed_at" in tags else None,
            since_change=int(tags["since_change"]),
            judged=int(tags["judged"]),
            wrong=int(tags["wrong"]),
            verdict=tags["verdict"],
            table_versions=tags["table_versions"],
            action=tags.get("action", ""),
        )


@dataclass(frozen=True)
class ModelVersion:
    """A registered version."""

    version: str
    run_id: str
    sha256: str
    record: TrainingRecord


def as_tag(value: object) -> str:
    """A value as MLflow's tags have it."""
    return value.isoformat() if isinstance(value, dt.datetime) else str(value)


def _moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)
