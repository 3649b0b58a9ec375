"""Who needs which version of a table. Pure: rows and offsets in, needs out."""

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Need:
    """A version of a table that somebody needs.

    Attributes:
        table: `layer.name`.
        version: of Delta.
        who: in words, to be said when it is asked to go.
        and_later: whether every later one is needed, too.
    """

    table: str
    version: int
    who: str
    and_later: bool = False


def of_promotions(rows: Iterable[Row]) -> list[Need]:
    """What trainings read, by the rows of gold.promotion."""
    return [
        Need(table, version, _promotion(row))
        for row in rows
        for table, version in dict(row.get("table_versions") or ()).items()
    ]


def _promotion(row: Row) -> str:
    what = f"promotion/{row['as_of']:%Y-%m-%d}/{row['action']}"
    return f"{what}/{row['to_version']}" if row.get("to_version") else what


def of_models(versions: Mapping[str, Mapping[str, int]]) -> list[Need]:
    """What registered models were trained on: Delta versions by table, by number."""
    return [
        Need(table, version, f"model/{number}")
        for number, read in versions.items()
        for table, version in read.items()
    ]


def of_edges(rows: Iterable[Row]) -> list[Need]:
    """What edges of gold.lineage were made from that begin at a table at a version."""
    return [
        Need(name, int(version), row["to_id"])
        for row in rows
        for name, _, version in [row["from_id"].partition("@")]
    ]


def of_checkpoint(
    query: str,
    offsets: Mapping[int, str],
    committed: Iterable[int],
    tables: Mapping[str, str],
) -> list[Need]:
    """What a stream will read next, or would read again after a crash.

    Args:
        query: the stream's name.
        offsets: text of its checkpoint's `offsets`, by batch.
        committed: batches in its `commits`.
        tables: `layer.name` of tables, by Delta's id.

    Returns:
        For each table, the version from which on all are needed. Where its checkpoint cannot be
        read, all versions of all tables are.
    """
    if not offsets:
        return []
    done = set(committed)
    newest = max(offsets)
    # A batch that was planned and not committed is read again, from the end of the one before.
    wanted = [number for number in (newest, newest - 1) if newest not in done or number == newest]
    try:
        read = [_sources(offsets[number]) for number in wanted if number in offsets]
        if newest not in done and newest > 0 and newest - 1 not in offsets:
            raise ValueError("the batch before is not there")
    except (ValueError, KeyError, TypeError):
        who = f"the stream {query}, whose checkpoint cannot be read"
        return [Need(table, 0, who, and_later=True) for table in tables.values()]
    starts: dict[str, int] = {}
    for sources in read:
        for table_id, version in sources.items():
            starts[table_id] = min(version, starts.get(table_id, version))
    is_first = newest == 0 and newest not in done
    return [
        # The first batch begins at the table as it was when the stream began: nobody knows where.
        Need(tables[table_id], 0 if is_first else version, f"the stream {query}", and_later=True)
        for table_id, version in sorted(starts.items())
        if table_id in tables
    ]


def _sources(text: str) -> dict[str, int]:
    """The next Delta version of each source, by the table's id; the third line on is a source.

    Raises:
        ValueError: it was cut short.
    """
    lines = text.splitlines()[2:]
    if not lines:
        raise ValueError("there is no source")
    known = [json.loads(line) for line in lines if line.strip() != "-"]
    of_tables = [source for source in known if "reservoirId" in source]
    return {source["reservoirId"]: int(source["reservoirVersion"]) for source in of_tables}


def of_record(newest_recorded: Mapping[str, int]) -> list[Need]:
    """Commits that gold.table_commit does not have yet, by the newest one that it has."""
    who = "gold.table_commit, which has them not on record yet"
    return [Need(table, newest + 1, who, True) for table, newest in newest_recorded.items()]


def of_running(
    jobs: Sequence[tuple[str, dt.datetime]], table: str, made_at: Mapping[int, dt.datetime]
) -> list[Need]:
    """What running jobs may be reading: the newest version as of their pass, and later ones.

    Args:
        jobs: name, and when its pass began; before the oldest version, all are needed.
        table: `layer.name`.
        made_at: of the table's versions.
    """
    return [
        Need(
            table,
            max((version for version, at in made_at.items() if at <= began_at), default=0),
            f"the job {job}, which runs",
            and_later=True,
        )
        for job, began_at in jobs
    ]
