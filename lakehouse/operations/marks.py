"""Marks of running jobs: a file that its process holds locked tells the next one who was killed."""

import datetime as dt
import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from lakehouse.operations.rows import Pass, Process
from lakehouse.storage.delta.locks import machine_folder


class Mark:
    """The mark of a running process; it is locked as long as that lives."""

    def __init__(self, root: str, process: Process) -> None:
        """Make the mark of a process that is at its first pass."""
        self._process = process
        self._path = _folder(root) / f"{process.run_id}.json"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # Locked before it has its name: whoever finds it unlocked knows that its process is gone.
        hidden = self._path.with_suffix(".new")
        self._file: TextIO = hidden.open("w", encoding="utf-8")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self.goes_on(1, process.began_at)
        hidden.rename(self._path)

    def goes_on(self, number: int, began_at: dt.datetime) -> None:
        """Say which pass the process is at, and since when."""
        self._file.seek(0)
        self._file.write(_as_json(self._process, number, began_at))
        self._file.truncate()
        self._file.flush()

    def remove(self) -> None:
        """The process has ended, and its end is on record."""
        self._path.unlink(missing_ok=True)
        self._file.close()


@contextmanager
def taken_marks(root: str) -> Iterator[list[tuple[Process, Pass]]]:
    """The passes of processes that were killed; when the block ends well, their marks are gone."""
    held: list[tuple[Path, TextIO]] = []
    try:
        for path in sorted(_folder(root).glob("*.json")):
            file = _taken(path)
            if file is not None:
                held.append((path, file))
        yield [_from_json(file.read()) for _, file in held]
        for path, _ in held:
            path.unlink()
    finally:
        for _, file in held:
            file.close()


def running(root: str) -> list[tuple[Process, Pass]]:
    """The processes that run on this machine, and the pass that each is at."""
    found = []
    for path in sorted(_folder(root).glob("*.json")):
        killed = _taken(path)
        if killed is not None:
            killed.close()
            continue
        with suppress(OSError, ValueError):  # it has just ended, or is just being written
            found.append(_from_json(path.read_text(encoding="utf-8")))
    return found


def _taken(path: Path) -> TextIO | None:
    """The mark, locked; None if its process lives, or another one has just taken it."""
    try:
        file = path.open(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    if not path.exists():
        file.close()
        return None
    return file


def _folder(root: str) -> Path:
    return machine_folder(root, "runs")


def _as_json(process: Process, number: int, began_at: dt.datetime) -> str:
    at = {"number": number, "pass_began_at": began_at.isoformat()}
    return json.dumps(asdict(process) | {"began_at": process.began_at.isoformat()} | at)


def _from_json(text: str) -> tuple[Process, Pass]:
    row = json.loads(text)
    number, began_at = row.pop("number"), dt.datetime.fromisoformat(row.pop("pass_began_at"))
    process = Process(**row | {"began_at": dt.datetime.fromisoformat(row["began_at"])})
    return process, Pass(number, began_at, None, {}, 0)
