"""Landed files: which to look into, what goes on record, and in which runs they are read."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lakehouse.ingest.landing.inspection import Inspected, Part
from lakehouse.ingest.landing.listing import Listed, Listing
from lakehouse.settings import StreamSettings

LANDED, SAME, UNREADABLE, GONE = "landed", "same", "unreadable", "gone"
_MOST_NAMES = 5
BATCH_BYTES = 256 * 2**20
"""Files are read in batches of about so many bytes; a single one may be longer."""


@dataclass(frozen=True)
class FileRecord:
    """A row of bronze.landed_file; its fields are the table's columns.

    A file whose `signature` is None could not be reached. That may mend without a trace on it: it
    is tried each time.
    """

    source: str
    source_file: str
    status: str
    seen_at: dt.datetime
    landed_file_id: int | None = None
    reason: str | None = None
    lines: int | None = None
    size: int | None = None
    sha256: str | None = None
    modified_at: dt.datetime | None = None
    landed_at: dt.datetime | None = None
    signature: str | None = None
    parts: tuple[Part, ...] = ()

    def to_row(self) -> dict[str, Any]:
        """As the table has it."""
        return {**vars(self), "parts": [vars(part) for part in self.parts]}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "FileRecord":
        """The inverse of `to_row`; columns that were not read are left at their defaults."""
        return cls(**{**row, "parts": tuple(Part(**part) for part in row.get("parts") or ())})


@dataclass(frozen=True)
class Unread:
    """A file that cannot be read.

    Attributes:
        reason: in words.
        is_content: whether its content is to blame, so that only a change of the file can mend it.
    """

    reason: str
    is_content: bool


def newest(records: Iterable[FileRecord]) -> dict[str, FileRecord]:
    """The last record of each file, by its name; of two at one moment the one of the newer coming.

    One that could not be read for a while keeps the digest of what was read of it before.
    """
    latest: dict[str, FileRecord] = {}
    add_newest(latest, records)
    return latest


def add_newest(latest: dict[str, FileRecord], records: Iterable[FileRecord]) -> None:
    """Add records to the last one of each file; none of them is older than those that are there."""
    for record in sorted(records, key=lambda record: (record.seen_at, record.landed_file_id or 0)):
        before = latest.get(record.source_file)
        was_read = before is not None and record.landed_file_id is None and record.sha256 is None
        latest[record.source_file] = (
            replace(record, sha256=before.sha256) if before and was_read else record
        )


def to_inspect(listing: Listing, latest: Mapping[str, FileRecord], folder: str) -> list[Listed]:
    """The files that are new, may have changed, or could not be reached.

    Args:
        listing: of a source's landing folder.
        latest: newest record of each file, by its path under the landing folder.
        folder: of the source, under the landing folder.
    """
    return [
        listed
        for name, listed in listing.files.items()
        if _is_news(listed, latest.get(f"{folder}/{name}"))
    ]


def _is_news(listed: Listed, record: FileRecord | None) -> bool:
    if record is None or record.status == GONE:
        return True
    # A release that kept no table of files recorded no more than their times.
    if record.size is None and record.status == LANDED:
        return _milliseconds(listed.modified_at) != _milliseconds(record.modified_at)
    return (listed.size, listed.signature) != (record.size, record.signature)


def _milliseconds(moment: dt.datetime | None) -> float | None:
    """Spark's file source told times to a millisecond."""
    return None if moment is None else moment.timestamp() * 1000 // 1


@dataclass(frozen=True)
class Stock:
    """What taking stock of one source's folder starts from.

    Attributes:
        source: name of the source's tables, and of its folder under the landing folder.
        known: newest record of each file.
        stream: bounds of the times.
        seen_at: when stock is taken.
    """

    source: str
    known: Mapping[str, FileRecord]
    stream: StreamSettings
    seen_at: dt.datetime

    def records(
        self, listing: Listing, looks: Mapping[str, Inspected | Unread], first_id: int
    ) -> list[FileRecord]:
        """The records of what is new: files to be read in order of landing, then other news.

        Args:
            listing: of the folder.
            looks: what became of the files that were looked into, by name.
            first_id: for the first file that is to be read; later ones count on.
        """
        records = [self._looked_into(listing.files[name], result) for name, result in looks.items()]
        landed = [record for record in records if record.status == LANDED]
        landed.sort(key=lambda record: (record.landed_at, record.source_file))
        numbered = [
            replace(record, landed_file_id=first_id + place) for place, record in enumerate(landed)
        ]
        others = [record for record in records if record.status != LANDED]
        others += [
            self._unreadable(name, Unread(reason, False))
            for name, reason in listing.unreadable.items()
        ]
        return [*numbered, *filter(self._is_new, others), *self._gone(listing)]

    def _looked_into(self, listed: Listed, content: Inspected | Unread) -> FileRecord:
        if isinstance(content, Unread):
            return self._unreadable(listed.name, content, listed)
        before = self.known.get(self._path(listed.name))
        is_same = before is not None and before.sha256 == content.sha256
        landed_at, odd = landing_time(listed.modified_at, self.stream, self.seen_at)
        return FileRecord(
            source=self.source,
            source_file=self._path(listed.name),
            status=SAME if is_same else LANDED,
            seen_at=self.seen_at,
            reason="; ".join(filter(None, (content.remark, odd))) or None,
            lines=content.lines,
            size=content.size,
            sha256=content.sha256,
            modified_at=listed.modified_at,
            landed_at=landed_at,
            signature=listed.signature,
            parts=() if is_same else content.parts,
        )

    def _unreadable(self, name: str, unread: Unread, listed: Listed | None = None) -> FileRecord:
        seen = FileRecord(
            self.source, self._path(name), UNREADABLE, self.seen_at, reason=unread.reason
        )
        if listed is None:
            return seen
        signature = listed.signature if unread.is_content else None
        return replace(seen, size=listed.size, modified_at=listed.modified_at, signature=signature)

    def _is_new(self, record: FileRecord) -> bool:
        """Return whether it says what the newest record of the file does not."""
        before = self.known.get(record.source_file)
        if before is None:
            return True
        return replace(before, seen_at=record.seen_at, sha256=record.sha256) != record

    def _gone(self, listing: Listing) -> Iterator[FileRecord]:
        there = {self._path(name) for name in (*listing.files, *listing.unreadable)}
        for name, record in self.known.items():
            if record.source == self.source and record.status == UNREADABLE and name not in there:
                yield FileRecord(self.source, name, GONE, self.seen_at)

    def _path(self, name: str) -> str:
        return f"{self.source}/{name}"


def numbered_together(records: Sequence[FileRecord]) -> list[FileRecord]:
    """The records of a look with ids that rise with the landing, whatever their source; then other
    news. Of files that landed at one moment, those keep their order.
    """
    landed = [record for record in records if record.status == LANDED]
    ids = sorted(record.landed_file_id or 0 for record in landed)
    landed.sort(key=lambda record: (record.landed_at, record.landed_file_id))
    numbered = [
        replace(record, landed_file_id=number) for record, number in zip(landed, ids, strict=True)
    ]
    return [*numbered, *(record for record in records if record.status != LANDED)]


def landing_time(
    modified_at: dt.datetime | None, stream: StreamSettings, seen_at: dt.datetime
) -> tuple[dt.datetime, str | None]:
    """Return when a file landed: its modification time, or if impossible, when it was first seen.

    It cannot be before the stream began, nor after that moment (but for the difference of clocks
    that the settings allow).

    Returns:
        The moment, and in words what was wrong with the modification time.
    """
    if modified_at is not None and stream.began <= modified_at <= seen_at + stream.max_ahead:
        return modified_at, None
    shown = "beyond the calendar" if modified_at is None else f"{modified_at:%Y-%m-%d %H:%M}"
    odd = f"its modification time cannot be ({shown}); it counts as landed when it was first seen"
    return seen_at, odd


def in_batches(
    records: Sequence[FileRecord], most_bytes: int = BATCH_BYTES
) -> Iterator[list[FileRecord]]:
    """The files to read, in order, in batches of at most so many bytes; longer files alone."""
    batch: list[FileRecord] = []
    size = 0
    for record in records:
        own = sum(part.size for part in record.parts)
        if batch and size + own > most_bytes:
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += own
    if batch:
        yield batch


@dataclass(frozen=True)
class Run:
    """Parts of landed files that are taken in together, in the order of the files."""

    parts: tuple[tuple[FileRecord, Part], ...]

    def __str__(self) -> str:
        names = list(dict.fromkeys(record.source_file for record, _ in self.parts))
        more = f" and {len(names) - _MOST_NAMES} more files" if len(names) > _MOST_NAMES else ""
        return f"{', '.join(names[:_MOST_NAMES])}{more}"

    @property
    def size(self) -> int:
        """Bytes of their content."""
        return sum(part.size for _, part in self.parts)

    @property
    def ids(self) -> tuple[int, int]:
        """The least and the greatest id of the files."""
        ids = [record.landed_file_id or 0 for record, _ in self.parts]
        return min(ids), max(ids)

    @property
    def lines_before(self) -> dict[int, int]:
        """For each file, how many lines of the run precede its line 0; negative if cut."""
        before: dict[int, int] = {}
        lines = 0
        for record, part in self.parts:
            before.setdefault(record.landed_file_id or 0, lines - part.first_line)
            lines += part.lines
        return before

    @property
    def lines(self) -> tuple[int, int]:
        """Numbers of the first line and behind the last, if all parts are of one file."""
        return self.parts[0][1].first_line, self.parts[-1][1].first_line + self.parts[-1][1].lines


def in_runs(records: Sequence[FileRecord], most_bytes: int = BATCH_BYTES) -> list[Run]:
    """The files as runs of about so many bytes; a longer file makes several."""
    parts = [(record, part) for record in records for part in record.parts]
    return [Run(tuple(run)) for run in _split(parts, most_bytes)]


def in_tasks(run: Run, tasks: int) -> list[list[tuple[FileRecord, Part]]]:
    """The parts split evenly and in order among at most so many tasks."""
    return _split(run.parts, max(1, run.size // tasks))


def _split(
    parts: Iterable[tuple[FileRecord, Part]], least_bytes: int
) -> list[list[tuple[FileRecord, Part]]]:
    """Run of parts, each closed by the part that makes it long enough."""
    runs: list[list[tuple[FileRecord, Part]]] = []
    size = least_bytes
    for record, part in parts:
        if size >= least_bytes:
            runs.append([])
            size = 0
        runs[-1].append((record, part))
        size += part.size
    return runs
