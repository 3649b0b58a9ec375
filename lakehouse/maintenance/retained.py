"""Which versions of a table are kept, and what of its folder no kept version needs. Pure.

A version can be read while its log has a checkpoint at it or before it, every commit since then,
and every data file of it. So the log is kept in ranges. One leads from the checkpoint before the
oldest version that is kept for its age to the newest version. One leads from the checkpoint before
each older version that somebody needs to that version.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from lakehouse.errors import ConfigurationError
from lakehouse.maintenance.needs import Need
from lakehouse.storage.delta.log_files import Log, version_of
from lakehouse.storage.folders import FileOnDisk
from lakehouse.tables.retention import Retention

STRAY = dt.timedelta(days=7)
"""How old a file must be that no commit names: a writer may be about to commit it."""


@dataclass(frozen=True)
class Kept:
    """The versions of a table that are kept.

    Attributes:
        first: from it on, all are.
        because: why not a later one.
        pinned: older ones, with who needs each.
        gone: needed ones that cannot be read any more, with who needs each.
    """

    first: int
    because: str
    pinned: Mapping[int, tuple[str, ...]]
    gone: Mapping[int, tuple[str, ...]]


def kept_of(log: Log, retention: Retention, needs: Sequence[Need], now: dt.datetime) -> Kept:
    """The versions to keep: young ones, those that a reader goes on from, and those in need.

    Args:
        log: of the table.
        retention: of its declaration.
        needs: of this table.
        now: wall-clock time.
    """
    first, because = _first_by_age(log, retention, now), "age"
    for need in needs:
        if need.and_later and need.version < first:
            first, because = need.version, need.who
    first = max(first, log.tail)
    pinned: dict[int, tuple[str, ...]] = {}
    gone: dict[int, tuple[str, ...]] = {}
    for need in needs:
        if need.version < first and not need.and_later:
            of = gone if log.base(need.version) is None else pinned
            of[need.version] = (*of.get(need.version, ()), need.who)
    return Kept(first, because, pinned, gone)


def _first_by_age(log: Log, retention: Retention, now: dt.datetime) -> int:
    first = log.newest
    for version in sorted(log.made_at, reverse=True):
        if not retention.keeps(now - log.made_at[version], log.newest - version):
            break
        first = version
    return first


def readable_ranges(log: Log, kept: Kept) -> list[tuple[int, int]]:
    """The versions that stay readable, first and last of each range, oldest range first.

    Each begins where reading can begin, so a version is either whole or gone from the log, too.

    Raises:
        ValueError: the log has lost a commit.
    """
    ranges: list[tuple[int, int]] = []
    for version in [*sorted(kept.pinned), kept.first]:
        base = log.base(version)
        if base is None:
            raise ValueError(f"version {version} cannot be read")
        last = log.newest if version == kept.first else version
        if ranges and base <= ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], last)
        else:
            ranges.append((base, last))
    return ranges


def unneeded_log(log: Log, ranges: Sequence[tuple[int, int]]) -> list[FileOnDisk]:
    """The files of the log that no version in these ranges is read from."""
    readable = {version for first, last in ranges for version in range(first, last + 1)}
    return [
        file
        for file in log.files
        if (version := version_of(file)) not in readable and version < log.newest
    ]


def unneeded_files(
    on_disk: Iterable[FileOnDisk],
    kept: Collection[str],
    named: Collection[str],
    now: dt.datetime,
) -> list[FileOnDisk]:
    """The data files that no kept version has.

    Args:
        on_disk: data files in the table's folder, with their checksums (`.name.crc`).
        kept: paths in the log of the files that kept versions have.
        named: paths in the log that commits name which are let go.
        now: wall-clock time; of files that no commit names, only strays go.
    """
    in_use, known = _names(kept), _names(named)
    return [
        file
        for file in on_disk
        if (name := _without_checksum(file.name)) not in in_use
        and (name in known or now - file.modified_at > STRAY)
    ]


def _names(paths: Iterable[str]) -> set[str]:
    """Names on disk: a path in the log is encoded as in a URI, and some readers decode it."""
    return {name for path in paths for name in (path, unquote(path))}


def _without_checksum(name: str) -> str:
    """The file that a checksum of Hadoop's is of; any other name as it is."""
    folder, slash, last = name.rpartition("/")
    is_checksum = last.startswith(".") and last.endswith(".crc")
    return f"{folder}{slash}{last[1:-4]}" if is_checksum else name


def refuse_older(
    days: int, logs: Mapping[str, Log], needs: Sequence[Need], now: dt.datetime
) -> None:
    """Check that nobody needs a version that is older than so many days.

    Raises:
        ConfigurationError: somebody does; the message names a version and who needs it.
    """
    oldest = now - dt.timedelta(days=days)
    conflicts = [
        need
        for need in needs
        if (log := logs.get(need.table))
        and need.version < log.newest
        and log.base(need.version) is not None
        and log.made_at[need.version] < oldest
    ]
    if not conflicts:
        return
    first, versions = conflicts[0], {(need.table, need.version) for need in conflicts}
    more = f", and {len(versions) - 1} more such versions" if len(versions) > 1 else ""
    onwards = " and later ones are" if first.and_later else " is"
    raise ConfigurationError(
        f"--keep-days {days}: {first.table}@{first.version}{onwards} needed by {first.who}{more}; "
        "nothing was removed. Leave --keep-days out to keep what is needed and let the rest go"
    )
