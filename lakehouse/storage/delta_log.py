"""What Delta's log tells besides a table's state: the actions of commits, and what they added."""

import datetime as dt
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from lakehouse.storage.folders import Folder

_COMMIT = re.compile(r"\d{20}\.json")
Action = dict[str, Any]


@dataclass(frozen=True)
class Added:
    """Files that commits added to a table.

    Attributes:
        files: how many.
        size: bytes of them.
        rows: None where a file does not tell.
        since: when the first of them was committed; None where there is none.
    """

    files: int = 0
    size: int = 0
    rows: int | None = 0
    since: dt.datetime | None = None

    def __add__(self, other: "Added") -> "Added":
        """Both together."""
        known = self.rows is not None and other.rows is not None
        return Added(
            self.files + other.files,
            self.size + other.size,
            (self.rows or 0) + (other.rows or 0) if known else None,
            min(filter(None, (self.since, other.since)), default=None),
        )


def days_written(path: str, after: int, until: int) -> frozenset[dt.date] | None:
    """The days (`window_date`) of files that came or went after version `after`, up to `until`.

    Returns:
        None where the log does not reach back so far: Delta drops commits that are a month old.
    """
    days = set()
    for version in range(after + 1, until + 1):
        actions = actions_of(path, version)
        if actions is None:
            return None
        files = (
            file for action in actions for kind in ("add", "remove") if (file := action.get(kind))
        )
        days |= {(file.get("partitionValues") or {}).get("window_date") for file in files}
    return frozenset(dt.date.fromisoformat(day) for day in days if day)


def added_between(path: str, first: int, end: int | None = None) -> Added | None:
    """What the commits from version `first` up to `end`, itself left out, added; compactions
    add nothing.

    Args:
        path: of the table.
        first: version of the first commit.
        end: all newer commits where it is None.

    Returns:
        None where a commit before `end` is not there: Delta drops those that are a month old.
    """
    total = Added()
    for version in count(first) if end is None else range(first, end):
        actions = actions_of(path, version)
        if actions is None:
            return total if end is None else None
        total += _added_by(actions)
    return total


def committed_at(path: str) -> dt.datetime | None:
    """When the newest commit of a table on this machine was made; None if none tells."""
    log = Path(path) / "_delta_log"
    if not log.is_dir():
        return None
    versions = [int(each.name[:20]) for each in os.scandir(log) if _COMMIT.fullmatch(each.name)]
    actions = actions_of(path, max(versions)) if versions else None
    return next(_committed_at(actions or []), None)


def _added_by(actions: list[Action]) -> Added:
    files = [action["add"] for action in actions if "add" in action]
    files = [file for file in files if file.get("dataChange", True)]
    if not files:
        return Added()
    counts = [json.loads(file.get("stats") or "{}").get("numRecords") for file in files]
    known = [each for each in counts if each is not None]
    return Added(
        len(files),
        sum(file["size"] for file in files),
        sum(known) if len(known) == len(counts) else None,
        next(_committed_at(actions), None),
    )


def _committed_at(actions: list[Action]) -> Iterator[dt.datetime]:
    for action in actions:
        milliseconds = action.get("commitInfo", {}).get("timestamp")
        if milliseconds is not None:
            yield dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC)


def actions_of(path: str, version: int) -> list[Action] | None:
    """The actions of one commit of a table; None where its log has no such commit (any more)."""
    try:
        with Folder(path).within("_delta_log").open(f"{version:020d}.json") as commit:
            return [json.loads(line) for line in commit]
    except OSError:
        return None
