"""Which Delta version each step made: read from the tables' logs, kept in gold.table_commit.

The log itself tells which versions are new, so a run that was cut off leaves no hole: the next step
records its versions, too. How far a table is on record is a transaction of gold.table_commit, so no
version is recorded twice.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

from lakehouse.errors import LockedError
from lakehouse.settings import ModelSettings
from lakehouse.storage.delta_log import actions_of
from lakehouse.storage.folders import Folder
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.store import Row, Transaction
from lakehouse.tables import Catalog, Table

_PARTS_OF_BATCH = 2  # query id and table; the step comes after


def record_commits(lakehouse: Lakehouse, *tables: Table) -> None:
    """Record the versions that these tables have and gold.table_commit lacks; of all that are
    followed without any.

    Where another process is recording, this one leaves it to that one, or to the next step.
    """
    store, table = lakehouse.store, lakehouse.catalog.table_commit
    with suppress(LockedError), store.writing(table):
        rows: list[Row] = []
        marks: list[Transaction] = []
        times = followed(lakehouse.catalog, lakehouse.model)
        reached = store.reached(table, [each.full_name for each in tables or times])
        for each in tables or times:
            newest, recorded = store.version(each), reached[each.full_name]
            first = 0 if recorded is None else recorded + 1
            rows += _rows(store.path(each), each, times[each], range(first, newest + 1))
            marks += [Transaction(each.full_name, newest)] if first <= newest else []
        if rows:
            store.append_rows(rows, table, *marks)


def followed(catalog: Catalog, model: ModelSettings) -> dict[Table, str | None]:
    """The tables whose versions are recorded, with the column that tells when a row is of."""
    history_times = [table.time for table in model.history.tables.values()]
    return {
        **dict.fromkeys(catalog.lines),
        **dict(zip(catalog.history, history_times, strict=True)),
        catalog.readings: model.event_time,
        catalog.labels: model.labels.time,
        catalog.quarantine: None,
        catalog.duplicate: None,
        catalog.predictions: model.event_time,
        catalog.window_facts: None,
    }


def _rows(path: str, table: Table, time: str | None, versions: Iterable[int]) -> list[Row]:
    """A row for each version whose commit the log still has."""
    at = dt.datetime.now(dt.UTC)
    found = ((version, actions_of(path, version)) for version in versions)
    return [
        {
            "table_name": table.full_name,
            "version": version,
            "recorded_at": at,
            **_told(actions),
            **_added(path, [action["add"] for action in actions if "add" in action], time),
        }
        for version, actions in found
        if actions is not None
    ]


def _told(actions: list[dict[str, Any]]) -> Row:
    """When, how, why and by which micro-batch a commit was made."""
    info: dict[str, Any] = next((a["commitInfo"] for a in actions if "commitInfo" in a), {})
    own: dict[str, Any] | None = next((a["txn"] for a in actions if "txn" in a), None)
    query_id, *steps = own["appId"].split(":") if own else [""]
    made_at = info.get("timestamp")
    return {
        "at": None if made_at is None else dt.datetime.fromtimestamp(made_at / 1000, dt.UTC),
        "operation": info.get("operation"),
        "query_id": query_id or None,
        "batch_id": own["version"] if own else None,
        # Chunks of a run are steps of their own: what they are of is enough.
        "step": ":".join(steps[1 : 1 + _PARTS_OF_BATCH]) or None,
        "why": info.get("userMetadata") or None,
    }


def _added(path: str, added: list[dict[str, Any]], time: str | None) -> Row:
    """What the files hold that a commit added, by their statistics."""
    stats = [json.loads(each.get("stats") or "{}") for each in added]
    is_news = [each.get("dataChange", True) for each in added]
    counts = [each.get("numRecords", 0) for each, new in zip(stats, is_news, strict=True) if new]
    first_file, last_file = _span(stats, "landed_file_id")
    times = [None if each is None else _moment(each) for each in _span(stats, time)]
    folder = Folder(path)
    return {
        "rows": sum(counts),
        "first_file": first_file,
        "last_file": last_file,
        "first_time": times[0],
        "last_time": times[1],
        "files": {each["path"]: file_sha256(folder, each["path"]) for each in added},
    }


def _span(stats: list[dict[str, Any]], column: str | None) -> tuple[Any, Any]:
    """The least and the greatest value of a column; None where a file tells none."""
    least = [each.get("minValues", {}).get(column) for each in stats]
    greatest = [each.get("maxValues", {}).get(column) for each in stats]
    if not stats or None in least or None in greatest:
        return None, None
    return min(least), max(greatest)


def _moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).astimezone(dt.UTC)


def file_sha256(folder: Folder, path: str) -> str | None:
    """SHA-256 of a table's data file; None where it is gone."""
    try:
        with folder.open(unquote(path)) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    except OSError:
        return None
