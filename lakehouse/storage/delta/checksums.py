"""Delta's version checksums (`<version>.crc`) beside the commits of delta-rs, which writes none.

Spark finds a table's schema there. Without the file it runs a job over the log at each opening,
which takes longer than most reads of a small table. The file is optional: where one cannot be told,
none is written. Format: "Version Checksum File" of Delta's protocol.
"""

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from lakehouse.storage.folders import Folder, write_changed

Action: TypeAlias = Mapping[str, Any]
Checksum: TypeAlias = dict[str, Any]
_FARTHEST = 100
"""Commits that are read at most, back to the last checksum or checkpoint."""
_MOST_TRANSACTIONS = 100
"""Above it a checksum leaves transactions out, as Spark's does."""
_OF_NOTHING: Checksum = {
    "tableSizeBytes": 0,
    "numFiles": 0,
    "numMetadata": 1,
    "numProtocol": 1,
    "setTransactions": [],
    "domainMetadata": [],
}


def write_checksum(path: str, version: int) -> None:
    """Write the checksum of a table's newest version, unless it cannot be told or written.

    Args:
        path: of the table.
        version: its newest, committed by delta-rs.
    """
    log = Folder(path).within("_delta_log")
    # A full disk: the commit counts without its checksum.
    with suppress(OSError, ValueError):
        found = _at(log, version)
        if found is not None:
            told = {name: value for name, value in found.items() if value is not None}
            _write(log, _name(version), json.dumps(told).encode())


def after(checksum: Checksum, actions: Iterable[Action]) -> Checksum | None:
    """The checksum after a commit; None where an action does not tell enough.

    Args:
        checksum: of the version before.
        actions: of the commit.
    """
    found = dict(checksum)
    for kind, action in (pair for each in actions for pair in each.items()):
        if kind in {"add", "remove"}:
            if action.get("size") is None or action.get("deletionVector"):
                return None
            sign = 1 if kind == "add" else -1
            found["numFiles"] += sign
            found["tableSizeBytes"] += sign * action["size"]
        elif kind == "metaData":
            found["metadata"] = action
        elif kind == "protocol":
            found["protocol"] = action
        elif kind == "txn":
            found["setTransactions"] = _with_transaction(found["setTransactions"], action)
        elif kind != "commitInfo":
            return None
    return found


def _with_transaction(known: list[Action] | None, action: Action) -> list[Action] | None:
    """The transactions after one more; None where they are not known, or too many."""
    if known is None:
        return None
    found = [*(each for each in known if each["appId"] != action["appId"]), action]
    return found if len(found) <= _MOST_TRANSACTIONS else None


def _at(log: Folder, version: int) -> Checksum | None:
    """The checksum of a version, from the last one before it or from the last checkpoint."""
    commits: list[list[Action]] = []
    for number in range(version, max(version - _FARTHEST, -1), -1):
        lines = _content(log, f"{number:020}.json")
        if lines is None:
            return None
        actions = [json.loads(line) for line in lines.splitlines()]
        before = _before(log, number)
        if before is not None:
            return _after_all(before, [actions, *reversed(commits)])
        checkpoint = _content(log, f"{number:020}.checkpoint.parquet")
        if checkpoint is not None:
            return _after_all(_OF_NOTHING, [_actions_of(checkpoint), *reversed(commits)])
        commits.append(actions)
    return None


def _actions_of(checkpoint: bytes) -> list[Action]:
    """The actions that a checkpoint's file holds, in so far as a checksum needs them.

    Removed files are left out: what they were is no part of a checkpoint's table.
    """
    file = pq.ParquetFile(pa.BufferReader(checkpoint))
    whole = [name for name in file.schema_arrow.names if name not in {"add", "remove"}]
    rows = file.read([*whole, "add.size", "add.deletionVector"])
    return [_without_nulls(row) for row in rows.to_pylist(maps_as_pydicts="strict")]


def _without_nulls(value: Any) -> Any:
    """As JSON has an action, which leaves out what is not set."""
    if not isinstance(value, dict):
        return value
    return {name: _without_nulls(each) for name, each in value.items() if each is not None}


def _before(log: Folder, version: int) -> Checksum | None:
    """The checksum before a version, if it is on disk and as ours are; of nothing before 0."""
    if version == 0:
        return _OF_NOTHING
    found: Any = None
    with suppress(ValueError):  # a damaged one is as good as none
        found = json.loads(_content(log, _name(version - 1)) or b"null")
    if not isinstance(found, dict):
        return None
    names = {*_OF_NOTHING, "metadata", "protocol"}
    if any(found.get(name) is None for name in names - {"setTransactions"}):
        return None
    if found.get("numDeletionVectorsOpt") or found.get("inCommitTimestampOpt"):
        return None
    return {name: found.get(name) for name in sorted(names)}


def _after_all(checksum: Checksum | None, commits: Iterable[list[Action]]) -> Checksum | None:
    for actions in commits:
        checksum = None if checksum is None else after(checksum, actions)
    return checksum


def _write(log: Folder, name: str, content: bytes) -> None:
    if log.is_local:
        write_changed(Path(os.fsdecode(log.path(name))), content)
    else:
        with log.create(name) as file:
            file.write(content)


def _name(version: int) -> str:
    return f"{version:020}.crc"


def _content(log: Folder, name: str) -> bytes | None:
    try:
        with log.open(name) as file:
            return file.read()
    except FileNotFoundError:
        return None
