"""A version's policy record as JSON: kept with the version, and with each promotion of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lakehouse.errors import RegistryError
from lakehouse.models.expected_error.encoding import ErrorBins
from lakehouse.models.expected_error.spline_logistic import SplineLogistic
from lakehouse.retraining.policy.records import (
    Errors,
    Region,
    RowRule,
    Segment,
    VersionRecord,
)

FORMAT = 3
"""Of the JSON. Format 1 had no number; format 2 had borders, disputes and forecasts, which are
read over."""


@dataclass(frozen=True)
class PolicyRecord:
    """What is kept of a version for the policy.

    Attributes:
        version: its record.
        names: columns of the feature matrix that it was recorded with.
        candidate: name of the candidate that it was fitted on.
        new_weight: weight of the rows since the change, where older ones weigh one.
    """

    version: VersionRecord
    names: tuple[str, ...]
    candidate: str
    new_weight: float = 1.0

    @property
    def error_bins(self) -> ErrorBins:
        """How its predictions are binned."""
        return ErrorBins(self.version.expected_error, self.names)

    def numbered(self, version: int) -> "PolicyRecord":
        """The same under the number that the registry gave the version."""
        return replace(self, version=replace(self.version, version=version))

    def to_json(self) -> str:
        """As it is kept."""
        record = self.version
        document = {
            "format": FORMAT,
            "version": record.version,
            "as_of": str(record.as_of),
            "epoch": str(record.drift_period),
            "changed_at": _text(record.changed_at),
            "pool": [_segment_to(each) for each in record.row_rule.segments],
            "reference": record.reference,
            "since_change": record.since_change,
            **_errors_to(record.errors),
            "difficulty": record.expected_error.to_json(),
            "names": self.names,
            "candidate": self.candidate,
            "new_weight": self.new_weight,
        }
        return json.dumps(document, allow_nan=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "PolicyRecord":
        """The inverse of `to_json`; reads what earlier releases have written, too.

        Raises:
            RegistryError: a later release has written it.
        """
        value = json.loads(text)
        if value.get("format", 1) > FORMAT:
            raise RegistryError(
                f"the policy record of version {value['version']} has format {value['format']}, "
                f"which a later release has written; this one reads up to {FORMAT}: update it"
            )
        record = VersionRecord(
            version=value["version"],
            as_of=_moment(value["as_of"]),
            drift_period=_moment(value["epoch"]),
            changed_at=_moment_or_none(value["changed_at"]),
            row_rule=RowRule(tuple(map(_segment_from, value["pool"]))),
            reference=value["reference"],
            since_change=value["since_change"],
            errors=_errors_from(value["judged"], value["wrong"]),
            expected_error=SplineLogistic.from_json(value["difficulty"]),
        )
        return cls(record, tuple(value["names"]), value["candidate"], value["new_weight"])


def _segment_to(segment: Segment) -> dict[str, Any]:
    regions = [_region_to(region) for region in segment.without]
    return {"start": _text(segment.start), "end": _text(segment.end), "without": regions}


def _segment_from(value: Mapping[str, Any]) -> Segment:
    return Segment(
        _moment_or_none(value["start"]),
        _moment_or_none(value["end"]),
        # Release 0.2.0 also left out where a forecast said so, which this one cannot tell.
        tuple(_region_from(region) for region in value["without"] if "sides" in region),
    )


def _region_to(region: Region) -> dict[str, Any]:
    return {
        "code": region.code,
        "sides": [(name, _open(low), _open(high)) for name, low, high in region.sides],
    }


def _region_from(value: Mapping[str, Any]) -> Region:
    sides = ((name, _side(low, -np.inf), _side(high, np.inf)) for name, low, high in value["sides"])
    return Region(tuple(sides), value["code"])


def _errors_to(errors: Errors) -> dict[str, list[float]]:
    return {"judged": errors.judged.tolist(), "wrong": errors.wrong.tolist()}


def _errors_from(judged: list[float], wrong: list[float]) -> Errors:
    return Errors(np.array(judged, dtype=float), np.array(wrong, dtype=float))


def _open(side: float) -> float | None:
    """JSON has no infinity."""
    return None if np.isinf(side) else side


def _side(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def _text(moment: np.datetime64 | None) -> str | None:
    return None if moment is None else str(moment)


def _moment(text: str) -> np.datetime64:
    return np.datetime64(text, "us")


def _moment_or_none(text: str | None) -> np.datetime64 | None:
    return None if text is None else _moment(text)
