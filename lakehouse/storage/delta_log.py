"""What Delta's log tells besides a table's state: the actions of each commit."""

import datetime as dt
import json
from typing import Any

from lakehouse.storage.folders import Folder


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


def actions_of(path: str, version: int) -> list[dict[str, Any]] | None:
    """The actions of one commit of a table; None where its log has no such commit (any more)."""
    try:
        with Folder(path).within("_delta_log").open(f"{version:020d}.json") as commit:
            return [json.loads(line) for line in commit]
    except OSError:
        return None
