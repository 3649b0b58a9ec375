"""What Delta's log tells besides a table's state: partitions written since a version."""

import datetime as dt
import json

from lakehouse.storage.folders import Folder


def days_written(path: str, after: int, until: int) -> frozenset[dt.date] | None:
    """The days (`window_date`) of files that came or went after version `after`, up to `until`.

    Returns:
        None where the log does not reach back so far: Delta drops commits that are a month old.
    """
    log, days = Folder(path).within("_delta_log"), set()
    for version in range(after + 1, until + 1):
        try:
            with log.open(f"{version:020d}.json") as commit:
                actions = [json.loads(line) for line in commit]
        except OSError:
            return None
        files = (
            file for action in actions for kind in ("add", "remove") if (file := action.get(kind))
        )
        days |= {(file.get("partitionValues") or {}).get("window_date") for file in files}
    return frozenset(dt.date.fromisoformat(day) for day in days if day)
