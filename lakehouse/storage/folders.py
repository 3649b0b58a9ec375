"""A folder, on a disk or in an object store, whose files are read and written by Python."""

import datetime as dt
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from pyarrow import fs

from lakehouse.errors import ConfigurationError


@dataclass(frozen=True)
class FileOnDisk:
    """A file in a folder.

    Attributes:
        name: path within the folder.
        size: bytes.
        modified_at: when its content was last written.
    """

    name: str
    size: int
    modified_at: dt.datetime


@dataclass(frozen=True)
class Folder:
    """A path, or a URI of a file system that pyarrow knows (`s3://`, `gs://`, `abfss://`, ...).

    Names of files are taken as they are: none is a pattern, and a path of the disk is bytes,
    whatever the locale.
    """

    location: str

    def within(self, name: str) -> "Folder":
        """A folder in it."""
        return Folder(f"{self.location}/{name}")

    def make(self) -> None:
        """Create the folder on a disk; an object store needs none.

        Raises:
            OSError: it cannot be created.
        """
        if self.is_local:
            os.makedirs(self.path(), exist_ok=True)  # noqa: PTH103 - pathlib takes no bytes

    def open(self, name: str) -> BinaryIO:
        """A file of it, opened for reading.

        Raises:
            OSError: it cannot be.
        """
        if self.is_local:
            return open(self.path(name), "rb")  # noqa: PTH123
        system, base = self.file_system
        remote: BinaryIO = system.open_input_file(f"{base}/{name}")
        return remote

    def create(self, name: str) -> BinaryIO:
        """A new file of it, opened for writing.

        Raises:
            OSError: it cannot be.
        """
        if self.is_local:
            return open(self.path(name), "wb")  # noqa: PTH123
        system, base = self.file_system
        remote: BinaryIO = system.open_output_stream(f"{base}/{name}")
        return remote

    def delete(self, name: str) -> None:
        """Remove a file of it."""
        if self.is_local:
            os.unlink(self.path(name))  # noqa: PTH108
        else:
            system, base = self.file_system
            system.delete_file(f"{base}/{name}")

    def files(self, recursive: bool = True) -> Iterator[FileOnDisk]:
        """All files in it; none where it is not there.

        Args:
            recursive: whether in folders of it, too.
        """
        if self.is_local:
            yield from _files_in(self.location, "", recursive)
            return
        system, base = self.file_system
        selector = fs.FileSelector(base, allow_not_found=True, recursive=recursive)
        for info in system.get_file_info(selector):
            if info.type == fs.FileType.File:
                name = info.path[len(base) :].lstrip("/")
                yield FileOnDisk(name, info.size, info.mtime.astimezone(dt.UTC))

    def path(self, name: str = "") -> bytes:
        """The path of a file on the disk, as the operating system has it."""
        return os.fsencode(self.location) + (b"/" + name.encode() if name else b"")

    @property
    def is_local(self) -> bool:
        """Whether it is a path of this machine."""
        return "://" not in self.location

    @cached_property
    def file_system(self) -> tuple[fs.FileSystem, str]:
        """pyarrow's file system, and the path of the folder in it.

        Raises:
            ConfigurationError: the URI is of no file system that can be opened.
        """
        # Hadoop's names of S3 are s3a and s3n; pyarrow knows s3 alone.
        uri = re.sub("^s3[an]://", "s3://", self.location.rstrip("/"))
        try:
            opened: tuple[fs.FileSystem, str] = fs.FileSystem.from_uri(uri)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"{self.location}: cannot be opened: {error}; write a path, or another URI"
            ) from error
        return opened


def _files_in(folder: str, prefix: str, recursive: bool) -> Iterator[FileOnDisk]:
    """Files of the disk that are not removed meanwhile."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if recursive:
                    yield from _files_in(entry.path, f"{prefix}{entry.name}/", recursive)
                continue
            with suppress(FileNotFoundError):
                found = entry.stat(follow_symlinks=False)
                modified_at = dt.datetime.fromtimestamp(found.st_mtime, dt.UTC)
                yield FileOnDisk(prefix + entry.name, found.st_size, modified_at)


def write_changed(path: Path, content: bytes) -> bool:
    """Write a file, if this is not what it holds; return whether it changed."""
    if path.exists() and path.read_bytes() == content:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(f".{os.getpid()}")
    new.write_bytes(content)
    new.replace(path)  # at once: somebody may be reading it
    return True
