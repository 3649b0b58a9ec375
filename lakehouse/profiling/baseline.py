"""A baseline: the profiles of a table's columns, as a document (see docs/profile-format.md)."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from lakehouse.errors import ConfigurationError
from lakehouse.profiling.profile import ColumnProfile

FORMAT = 2
"""The version of the document; another one is for readers that would misread this one."""
_READ = (1, FORMAT)

Baseline: TypeAlias = Mapping[str, ColumnProfile]
"""The profile of each column, by its name."""


def to_document(columns: Baseline) -> dict[str, Any]:
    """The baseline as values that JSON can hold."""
    return {"format": FORMAT, "columns": [profile.to_json() for profile in columns.values()]}


def from_document(document: Any) -> dict[str, ColumnProfile]:
    """The baseline that `to_document` wrote; fields that it does not know are left.

    Raises:
        ConfigurationError: The document is of another format, or lacks what its format has.
    """
    if not isinstance(document, Mapping) or "format" not in document:
        raise ConfigurationError(
            'A baseline is an object with "format" and "columns": write what to_document gives.'
        )
    if document["format"] not in _READ:
        raise ConfigurationError(
            f"The baseline is of format {document['format']!r}, which this version cannot read: it "
            "reads formats "
            f"up to {FORMAT}. Profile the rows again, or use the version that wrote it."
        )
    try:
        profiles = [ColumnProfile.from_json(column) for column in document["columns"]]
    except KeyError as missing:
        raise ConfigurationError(
            f"The baseline lacks {missing}: it is damaged or was not written whole."
        ) from None
    except (TypeError, ValueError) as wrong:
        raise ConfigurationError(f"The baseline cannot be read: {wrong}") from None
    return {profile.spec.name: profile for profile in profiles}


def merged(a: Baseline, b: Baseline) -> dict[str, ColumnProfile]:
    """The baseline of both tables' rows, in the bins of the first one.

    Where the second one counts in other bins, its counts there come from its sketch (see
    ColumnProfile.rebinned).

    Raises:
        ValueError: A column is of another type or kind in the second one.
    """
    both = {
        name: _merged(profile, b[name]) if name in b else profile for name, profile in a.items()
    }
    return {**both, **{name: profile for name, profile in b.items() if name not in a}}


def _merged(a: ColumnProfile, b: ColumnProfile) -> ColumnProfile:
    edges = b.bin_edges if a.bin_edges is None else a.bin_edges
    if edges is None or a.spec != b.spec:
        return a.merge(b)
    return a.rebinned(edges).merge(b.rebinned(edges))
