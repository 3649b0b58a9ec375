"""Take stock of the landing folders: put on record what is new, for ingest to read."""

import datetime as dt
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote

from lakehouse.calendar import in_write_order
from lakehouse.errors import LandingError
from lakehouse.ingest.landing import runs as files
from lakehouse.ingest.landing.content import UnreadableError
from lakehouse.ingest.landing.inspection import Inspected, inspect
from lakehouse.ingest.landing.listing import Listed, listing_of
from lakehouse.ingest.landing.runs import FileRecord, Run, Stock, Unread
from lakehouse.storage.folders import Folder
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.tables import LANDED_FILE, Table

_KNOWN = [column.name for column in LANDED_FILE.columns if column.name != "parts"]
_THREADS = 4


def take_stock(lakehouse: Lakehouse) -> None:
    """Record what has landed since the last time: files to be read, in batches, and other news.

    Raises:
        LandingError: a landing folder cannot be looked at.
    """
    StockTaker(lakehouse).take()


class StockTaker:
    """Takes stock again and again. The caller holds the right to write bronze.landed_file.

    What is on record is read once, and again where it is not this taker that wrote last: so a look
    costs what has landed since, and a listing.
    """

    def __init__(self, lakehouse: Lakehouse) -> None:
        """Look at nothing yet."""
        self._lakehouse = lakehouse
        self._version: int | None = None  # of the table, as it is remembered
        self._latest: dict[str, FileRecord] = {}
        self._seen_at: dt.datetime | None = None
        self._greatest_id = 0

    def take(self) -> int:
        """Record what has landed since the last time; return the greatest id of a new file, or 0.

        Raises:
            LandingError: a landing folder cannot be looked at.
        """
        store, table = self._lakehouse.store, self._lakehouse.catalog.landed_file
        if store.version(table) != self._version:
            self._remember_all()
        news = self._news()
        if news:
            self._version = None  # until all of them are on record
            for batch in files.in_batches(news):
                store.append_rows([record.to_row() for record in batch], table)
            self._remember(news)
        self._version = store.version(table)
        return max((record.landed_file_id or 0 for record in news), default=0)

    def _remember_all(self) -> None:
        records = file_records(self._lakehouse)
        if not records:
            records = _of_older_release(self._lakehouse)
            _record(self._lakehouse, records)
        self._latest, self._seen_at, self._greatest_id = {}, None, 0
        self._remember(records)

    def _remember(self, records: Sequence[FileRecord]) -> None:
        files.add_newest(self._latest, records)
        times = [record.seen_at for record in records]
        self._seen_at = max([*filter(None, [self._seen_at]), *times], default=None)
        ids = [record.landed_file_id or 0 for record in records]
        self._greatest_id = max(self._greatest_id, *ids, 0)

    def _news(self) -> list[FileRecord]:
        """What the folders tell that is not on record."""
        lakehouse, latest = self._lakehouse, self._latest
        # Ids rise with the landing: they order lines whose label times are equal.
        next_id = self._greatest_id + 1
        # The newest record of a file counts: a clock that was set back must not make it an older
        # one.
        seen_at = in_write_order(dt.datetime.now(dt.UTC), [self._seen_at])
        news: list[FileRecord] = []
        for source in lakehouse.sources:
            folder = Folder(lakehouse.landing).within(source.name)
            _make(folder)
            listing = listing_of(folder)
            looked_into = _inspected(folder, files.to_inspect(listing, latest, source.name))
            stock = Stock(source.name, latest, lakehouse.model.stream, seen_at)
            added = stock.records(listing, looked_into, next_id)
            next_id += sum(record.status == files.LANDED for record in added)
            news += added
        # What a reading may see of another table is told by their ids.
        return files.numbered_together(news) if lakehouse.model.history.tables else news


def file_records(lakehouse: Lakehouse) -> list[FileRecord]:
    """All that is on record of landed files, but for the parts that they are read in."""
    rows = lakehouse.store.rows(lakehouse.catalog.landed_file, columns=_KNOWN)
    return [FileRecord.from_row(row) for row in rows]


def record_lost(lakehouse: Lakehouse, run: Run) -> bool:
    """Record which files of a run are lost or have changed; return whether there are any."""
    folder, known = Folder(lakehouse.landing), (record.seen_at for record, _ in run.parts)
    seen_at, lost = in_write_order(dt.datetime.now(dt.UTC), known), []
    for record in {each.landed_file_id: each for each, _ in run.parts}.values():
        content = _look(folder, record.source_file)
        if isinstance(content, Inspected) and content.sha256 == record.sha256:
            continue
        why = content.reason if isinstance(content, Unread) else "its content is another"
        reason = f"it changed before it was read: {why}"
        place = (record.source, record.source_file, files.UNREADABLE, seen_at)
        lost.append(FileRecord(*place, landed_file_id=record.landed_file_id, reason=reason))
    _record(lakehouse, lost)
    return bool(lost)


def _record(lakehouse: Lakehouse, records: Sequence[FileRecord]) -> None:
    if records:
        lakehouse.store.append_rows(
            [record.to_row() for record in records], lakehouse.catalog.landed_file
        )


def _make(folder: Folder) -> None:
    try:
        folder.make()
    except OSError as error:
        raise LandingError(
            f"{folder.location}: {error.strerror}; name another landing folder"
        ) from error


def _inspected(folder: Folder, listed: Iterable[Listed]) -> dict[str, Inspected | Unread]:
    """Look into each file, in threads: hashing and unpacking release Python's lock."""

    def look(file: Listed) -> tuple[str, Inspected | Unread]:
        content = _look(folder, file.name)
        if isinstance(content, Inspected) and content.size != file.size:
            return file.name, Unread(
                "it is being written; land it by an atomic rename", is_content=False
            )
        return file.name, content

    new = list(listed)
    if len(new) <= 1:
        return dict(map(look, new))
    with ThreadPoolExecutor(_THREADS) as threads:
        return dict(threads.map(look, new))


def _look(folder: Folder, name: str) -> Inspected | Unread:
    try:
        return inspect(folder, name)
    except UnreadableError as error:
        return Unread(str(error), is_content=True)
    except OSError as error:
        return Unread(error.strerror or str(error), is_content=False)


def _of_older_release(lakehouse: Lakehouse) -> list[FileRecord]:
    """The files that a release without a table of files has read, so that they are not read again.

    Of a micro-batch that was cut off, bronze may have lines that silver has not: its files are read
    again.
    """
    catalog = lakehouse.catalog
    records = []
    for table in (catalog.bronze_readings, catalog.bronze_labels):
        lines = lakehouse.store.arrow(table, columns=["source_file", "landed_at", "ingest_batch"])
        checkpoint = Path(lakehouse.store.checkpoint(f"ingest_{table.name}"))
        newest = _newest_commit(checkpoint / "commits")
        files_read = lines.group_by(["source_file", "landed_at"])
        for row in files_read.aggregate([("ingest_batch", "max")]).to_pylist():
            if row["ingest_batch_max"] <= newest:
                records.append(_legacy(table, row["source_file"], row["landed_at"]))
    return records


def _legacy(table: Table, uri: str, landed_at: dt.datetime) -> FileRecord:
    name = unquote(uri).rsplit(f"/{table.name}/", 1)[-1]
    path = f"{table.name}/{name}"
    return FileRecord(
        table.name,
        path,
        files.LANDED,
        dt.datetime.now(dt.UTC),
        modified_at=landed_at,
        landed_at=landed_at,
    )


def _newest_commit(commits: Path) -> int:
    """The newest micro-batch that was finished; -1 for none."""
    return max((int(path.name) for path in commits.glob("*") if path.name.isdigit()), default=-1)
