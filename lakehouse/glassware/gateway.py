"""Lands the glassware stream as files of JSON lines, as a plant's gateway would deliver it.

    <landing>/sensor_reading/sensor_reading-000000001-000000191.jsonl
    <landing>/quality_check/quality_check-000000001-000000191.jsonl
    <landing>/maintenance/maintenance-000000001-000000001.jsonl        (scenario `furnace`)

Each file's name carries its first and its last piece, so the folder itself tells where landing
stopped. A file appears whole or not at all, and its modification time is the simulated moment of
its landing.
"""

import fcntl
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lakehouse.errors import ConfigurationError
from lakehouse.glassware.furnace import FurnaceStream, stream_of
from lakehouse.glassware.pieces import DAY, MICROSECOND, START, Stream, in_utc

READINGS = "sensor_reading"
LABELS = "quality_check"
MAINTENANCE = "maintenance"
TOPICS = (MAINTENANCE, READINGS, LABELS)
MARKER = ".simulation.json"
_UNFINISHED = ".unfinished"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_Rows = Callable[[int, int], pa.Table]
_Newest = Callable[[datetime], int]


@dataclass(frozen=True)
class LandedFile:
    """A file that was landed: the pieces `first_id`–`last_id` of one topic, one line each."""

    topic: str
    first_id: int
    last_id: int
    path: Path

    @property
    def lines(self) -> int:
        """How many lines the file has."""
        return self.last_id - self.first_id + 1


def land_until(
    stream: Stream, landing: Path, moment: datetime, lines_per_file: int = 100_000
) -> list[LandedFile]:
    """Land all that has happened by `moment` and is not landed yet; readings before their labels.

    Once to a late moment or in many small steps: the lines are the same. A call with the same or an
    earlier moment writes nothing. What a killed call left unfinished is removed, and landed anew.
    Calls at the same time wait for each other.

    Args:
        stream: the simulated run.
        landing: the folder; made if it is not there.
        moment: the simulated now; a naive one is in UTC. Readings land when they are made, labels
            when they are known.
        lines_per_file: the most lines of one file.

    Returns:
        The files that this call landed, in the order of their landing.

    Raises:
        ConfigurationError: the folder holds another simulation, or files that no simulation wrote.
    """
    _refuse_other_uses(stream, landing)
    sources = _sources(stream)
    for folder in (landing, *(landing / topic for topic in sources)):
        folder.mkdir(parents=True, exist_ok=True)
    with _alone_in(landing):
        # Checked again behind the lock: another simulation may have begun meanwhile.
        _claim(stream, landing)
        _remove_unfinished(landing)
        due = list(_due(stream, landing, moment, lines_per_file))
        for file in due:
            rows, _ = sources[file.topic]
            _write_whole(file.path, json_lines(rows(file.first_id, file.last_id)), landed_at=moment)
        return due


def next_midnight(stream: Stream, landing: Path) -> datetime | None:
    """The first midnight (UTC) at which something is due that is not landed; None for none.

    Raises:
        ConfigurationError: as for `land_until`.
    """
    _refuse_other_uses(stream, landing)
    due = []
    reading, label = last_landed(landing, READINGS) + 1, last_landed(landing, LABELS) + 1
    if reading <= stream.pieces:
        due.append(_midnight_from(stream.reading_time(reading)))
    if label <= stream.pieces:
        due.append(stream.label_time(label))
    return min(due, default=None)


def simulation_in(landing: Path) -> Stream | None:
    """The simulation that a folder holds; None where it holds none."""
    marker = landing / MARKER
    return stream_of(**json.loads(marker.read_text(encoding="utf-8"))) if marker.exists() else None


def last_landed(landing: Path, topic: str) -> int:
    """The id of the last piece that is landed in `topic`; 0 for none."""
    name = re.compile(rf"{topic}-\d+-(\d+)\.jsonl")
    matches = (name.fullmatch(path.name) for path in (landing / topic).glob(f"{topic}-*.jsonl"))
    return max((int(match[1]) for match in matches if match), default=0)


def json_lines(table: pa.Table) -> Iterator[str]:
    """A line of JSON per row: full precision, moments in UTC to the microsecond."""
    columns = [_plain(column) for column in table.columns]
    for row in zip(*columns, strict=True):
        yield json.dumps(dict(zip(table.column_names, row, strict=True)), allow_nan=False) + "\n"


def _sources(stream: Stream) -> dict[str, tuple[_Rows, _Newest]]:
    """The rows of each topic by their ids, and the id of its newest at a moment, in the order of
    landing: no label lands before its reading, no reading before a maintenance that it may see.
    """
    sources: dict[str, tuple[_Rows, _Newest]] = {
        READINGS: (stream.readings, stream.last_reading_by),
        LABELS: (stream.labels, stream.last_label_by),
    }
    if isinstance(stream, FurnaceStream):
        return {MAINTENANCE: (stream.maintenance, stream.last_maintenance_by)} | sources
    return sources


def _due(
    stream: Stream, landing: Path, moment: datetime, lines_per_file: int
) -> Iterator[LandedFile]:
    """The files missing at `moment`, in the order of landing."""
    for topic, (_, last_by) in _sources(stream).items():
        newest = last_by(moment)
        for first_id in range(last_landed(landing, topic) + 1, newest + 1, lines_per_file):
            last_id = min(first_id + lines_per_file - 1, newest)
            path = landing / topic / f"{topic}-{first_id:09d}-{last_id:09d}.jsonl"
            yield LandedFile(topic, first_id, last_id, path)


def _plain(column: pa.ChunkedArray) -> list[Any]:
    if not pa.types.is_timestamp(column.type):
        return list(column.to_pylist())
    moments = column.cast(pa.timestamp("us")).to_numpy()
    return [f"{moment}Z" for moment in np.datetime_as_string(moments, unit="us")]


def _write_whole(path: Path, lines: Iterable[str], landed_at: datetime | None = None) -> None:
    """Write a hidden file beside `path`, make it durable, and give it its name in one step."""
    unfinished = path.with_name(f".{path.name}{_UNFINISHED}")
    with unfinished.open("w", encoding="utf-8") as file:
        file.writelines(lines)
        file.flush()
        if landed_at:
            nanoseconds = (in_utc(landed_at) - _EPOCH) // MICROSECOND * 1000
            os.utime(file.fileno(), ns=(nanoseconds, nanoseconds))
        os.fsync(file.fileno())
    unfinished.replace(path)
    # A name is durable once its folder is.
    with _open_folder(path.parent) as folder:
        os.fsync(folder)


def _remove_unfinished(landing: Path) -> None:
    for folder in (landing, *(landing / topic for topic in TOPICS)):
        for path in folder.glob(f".*{_UNFINISHED}"):
            path.unlink()


def _claim(stream: Stream, landing: Path) -> None:
    """Mark the folder as this simulation's, before its first file; refuse another's folder."""
    _refuse_other_uses(stream, landing)
    if not (landing / MARKER).exists():
        _write_whole(landing / MARKER, [json.dumps(asdict(stream)) + "\n"])


def _refuse_other_uses(stream: Stream, landing: Path) -> None:
    if landing.exists() and not landing.is_dir():
        raise ConfigurationError(f"landing: {landing} is a file; name a folder")
    earlier = simulation_in(landing)
    if earlier is not None:
        if earlier != stream:
            raise ConfigurationError(
                f"landing: {landing} holds the simulation {_in_words(earlier)}, not "
                f"{_in_words(stream)}; name another folder, or the same simulation"
            )
    elif any(path for topic in TOPICS for path in (landing / topic).glob("[!.]*")):
        raise ConfigurationError(
            f"landing: {landing} holds files that no simulation wrote; name another folder"
        )


def _in_words(stream: Stream) -> str:
    return ", ".join(f"{key} {value}" for key, value in asdict(stream).items())


@contextmanager
def _alone_in(landing: Path) -> Iterator[None]:
    """Wait until no other process lands here; the lock ends with the process."""
    with _open_folder(landing) as folder:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield


@contextmanager
def _open_folder(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _midnight_from(moment: datetime) -> datetime:
    """The first midnight at the moment or after."""
    return START - (START - moment) // DAY * DAY
