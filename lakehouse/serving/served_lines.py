"""What was answered, as lines that land: written before the answer, landed by time and size.

A line is appended to a file that no ingest looks at, `<landing>/_served/...part`, before its answer
is sent: a process that is killed loses no row that it has answered. A file that is old or large
enough is moved into the readings' landing folder by an atomic rename. Files of a process that is
gone are landed by the next look of any process. So each row lands at least once; the rules of
ingest make it one, by its key.
"""

import datetime as dt
import fcntl
import os
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from lakehouse.errors import ConfigurationError
from lakehouse.settings.reserved import SERVED_FOLDER

UNFINISHED = "_served"
"""Folder under the landing folder with the files that are being written."""
_PART = ".part"


@dataclass(frozen=True)
class Rotation:
    """When a file of served lines lands.

    Attributes:
        seconds: after its first line.
        size: in bytes.
    """

    seconds: float = 10.0
    size: int = 4 * 2**20


@dataclass
class _Part:
    """The file that is being written; its lock is held as long as it is open."""

    path: Path
    descriptor: int
    size: int = 0
    began: float | None = None

    def close(self) -> None:
        os.close(self.descriptor)


@dataclass
class ServedLines:
    """Writes the lines of one process.

    Attributes:
        landing: the landing folder, on a disk of this machine.
        table: name of the readings' folder under it.
        rotation: when a file lands.
        written: lines so far.
    """

    landing: Path
    table: str
    rotation: Rotation = Rotation()
    written: int = 0
    _part: _Part | None = field(default=None, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def open(self) -> None:
        """Make the folders, and land what processes that are gone have left.

        Raises:
            ConfigurationError: the folders cannot be made, or do not lie on one disk.
        """
        try:
            self._unfinished.mkdir(parents=True, exist_ok=True)
            self._landed.mkdir(parents=True, exist_ok=True)
            is_one_disk = self._unfinished.stat().st_dev == self._landed.stat().st_dev
        except OSError as error:
            raise ConfigurationError(
                f"landing: {error.filename}: {error.strerror}; name a folder that can be written"
            ) from error
        if not is_one_disk:
            raise ConfigurationError(
                f"landing: {self._landed} lies on another disk than {self._unfinished}, so no file "
                "lands by a rename; put them on one"
            )
        self.land_left()

    def append(self, lines: bytes, count: int) -> None:
        """Write lines of JSON, each with its line feed; they are in the file when this returns.

        Raises:
            OSError: they could not be written, whole; the file has nothing of them then.
        """
        with self._lock:
            part = self._part = self._part or self._new_part()
            try:
                written = os.write(part.descriptor, lines)
                if written < len(lines):
                    raise OSError(28, os.strerror(28))  # the disk is full
            except OSError:
                os.ftruncate(part.descriptor, part.size)
                raise
            part.size += len(lines)
            part.began = part.began or time.monotonic()
            self.written += count

    def land_due(self) -> None:
        """Land the file that is old or large enough, and what others have left."""
        with self._lock:
            part = self._part
            if part and part.began is not None and self._is_due(part, part.began):
                self._part = None
            else:
                part = None
        if part:
            self._land(part)
        self.land_left()

    def close(self) -> None:
        """Land what was written."""
        with self._lock:
            part, self._part = self._part, None
        if part:
            self._land(part)

    def land_left(self) -> None:
        """Land the files of processes that are gone, without a line that was cut off."""
        with self._alone():
            for path in sorted(self._unfinished.glob(f"*{_PART}")):
                descriptor = os.open(path, os.O_RDWR)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:  # its process is alive
                    os.close(descriptor)
                    continue
                # A line without its end was not answered.
                size = path.read_bytes().rfind(b"\n") + 1
                os.ftruncate(descriptor, size)
                self._land(_Part(path, descriptor, size))

    def _is_due(self, part: _Part, began: float) -> bool:
        age = time.monotonic() - began
        return age >= self.rotation.seconds or part.size >= self.rotation.size

    def _new_part(self) -> _Part:
        name = f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S}-{os.getpid()}-{secrets.token_hex(4)}"
        path = self._unfinished / f"{self.table}-{name}{_PART}"
        with self._alone():  # nobody takes the file before it is locked
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        return _Part(path, descriptor)

    def _land(self, part: _Part) -> None:
        os.fsync(part.descriptor)
        with suppress(FileNotFoundError):
            if part.size:
                part.path.rename(self._landed / part.path.with_suffix(".jsonl").name)
            else:
                part.path.unlink()
        part.close()
        for folder in (self._landed, self._unfinished):
            descriptor = os.open(folder, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the folder against other processes."""
        descriptor = os.open(self._unfinished / "lock", os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @property
    def _unfinished(self) -> Path:
        return self.landing / UNFINISHED

    @property
    def _landed(self) -> Path:
        return self.landing / self.table / SERVED_FOLDER
