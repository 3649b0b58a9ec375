"""What lies in a landing folder: files of lines, and all else."""

import datetime as dt
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

from pyarrow import fs

from lakehouse.errors import LandingError
from lakehouse.storage.folders import Folder

_LINES = re.compile(r".+\.(jsonl|ndjson|json)(\.gz)?", re.IGNORECASE | re.DOTALL)
_HIDDEN = (".", "_")  # names of what is not finished, by the habit of Spark and Hadoop
_NOT_UTF8 = "its name is not UTF-8; rename it"
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Listed:
    """A file as its folder shows it.

    Attributes:
        name: its path under the folder, with `/` between the parts.
        size: in bytes.
        modified_at: its modification time; None where no calendar has it.
        signature: differs whenever the file may be another than before.
    """

    name: str
    size: int
    modified_at: dt.datetime | None
    signature: str


@dataclass
class Listing:
    """What lies in a folder and its sub-folders.

    Attributes:
        files: files of lines, by name.
        left_alone: names of all else: other endings, hidden names, what is no regular file.
        unreadable: why a file of lines or a sub-folder cannot be looked at, by its name.
    """

    files: dict[str, Listed] = field(default_factory=dict)
    left_alone: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, entry: "Listed | str | None") -> None:
        """Add a file, or why it cannot be looked at; None is no regular file."""
        if entry is None or not is_of_lines(name):
            self.left_alone.append(name)
        elif isinstance(entry, str):
            self.unreadable[name] = entry
        else:
            self.files[name] = entry


def listing_of(folder: Folder) -> Listing:
    """Everything in the folder, however deep; links are followed, and a folder is looked into once.

    Raises:
        LandingError: the folder itself cannot be looked at.
    """
    listing = Listing()
    try:
        if folder.is_local:
            _add_local(folder, listing)
        else:
            _add_remote(folder, listing)
    except OSError as error:
        raise LandingError(
            f"{folder.location}: {_words(error)}; land files in a folder that can be read"
        ) from error
    return listing


def is_of_lines(name: str) -> bool:
    """Return whether the file is to be read: it ends like lines, and no part is hidden."""
    parts = name.split("/")
    return bool(_LINES.fullmatch(parts[-1])) and not any(part.startswith(_HIDDEN) for part in parts)


def is_gzip_name(name: str) -> bool:
    """Return whether the name says that the file is compressed."""
    return name.lower().endswith(".gz")


def _add_remote(folder: Folder, listing: Listing) -> None:
    system, base = folder.file_system
    for info in system.get_file_info(fs.FileSelector(base, recursive=True, allow_not_found=True)):
        name = info.path.removeprefix(base).lstrip("/")
        if info.type == fs.FileType.File:
            listing.add(name, Listed(name, info.size, info.mtime, f"{info.mtime_ns}"))
        elif info.type != fs.FileType.Directory:
            listing.add(name, None)


def _add_local(folder: Folder, listing: Listing) -> None:
    state = os.stat(folder.path())  # noqa: PTH116 - pathlib takes no bytes
    waiting, seen = [""], {(state.st_dev, state.st_ino)}
    while waiting:
        inner = waiting.pop()
        for name, entry in _entries(folder, inner, listing):
            try:
                state = entry.stat()
            except OSError as error:  # a link to nothing, or a file that is just gone
                listing.add(name, _words(error))
                continue
            if not stat.S_ISDIR(state.st_mode):
                listing.add(name, _listed(name, state))
            # Links may lead in circles.
            elif (state.st_dev, state.st_ino) not in seen:
                seen.add((state.st_dev, state.st_ino))
                waiting.append(name)


def _entries(
    folder: Folder, inner: str, listing: Listing
) -> Iterator[tuple[str, os.DirEntry[bytes]]]:
    """The entries of a sub-folder, by path; names that are not UTF-8 go no further."""
    try:
        entries = sorted(os.scandir(folder.path(inner)), key=lambda entry: entry.name)
    except OSError as error:
        if not inner:
            raise
        listing.unreadable[inner] = f"folder: {_words(error)}"
        return
    for entry in entries:
        shown = entry.name.decode("utf-8", "backslashreplace")
        name = f"{inner}/{shown}" if inner else shown
        if shown.encode() == entry.name:
            yield name, entry
        elif entry.is_dir():
            listing.unreadable[name] = f"folder: {_NOT_UTF8}"
        else:
            listing.add(name, _NOT_UTF8)


def _listed(name: str, state: os.stat_result) -> Listed | None:
    if not stat.S_ISREG(state.st_mode):
        return None
    try:
        modified_at = _EPOCH + dt.timedelta(microseconds=state.st_mtime_ns // 1_000)
    except OverflowError:
        modified_at = None
    # The time of the last change of any kind is the one that nobody can set.
    return Listed(
        name, state.st_size, modified_at, f"{state.st_mtime_ns}:{state.st_ctime_ns}:{state.st_ino}"
    )


def _words(error: OSError) -> str:
    return error.strerror or str(error)
