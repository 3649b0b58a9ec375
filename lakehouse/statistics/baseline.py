"""Temporary."""

from functools import reduce
from typing import Any

from lakehouse.statistics.profile import ColumnProfile


def to_document(columns: Any) -> dict[str, Any]:
    return {"format": 1, "columns": [p.to_json() for p in columns.values()]}


def from_document(document: Any) -> dict[str, ColumnProfile]:
    profiles = map(ColumnProfile.from_json, document["columns"])
    return {profile.spec.name: profile for profile in profiles}


def merged(parts: Any) -> dict[str, ColumnProfile]:
    return reduce(lambda a, b: {n: a[n].merge(b[n]) for n in a}, parts)
