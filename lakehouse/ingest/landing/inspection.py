"""A look through a whole landed file: can it be read, and where may it be cut?

It costs a fraction of what parsing costs, and makes a file one thing: taken whole, or left whole
with a reason.
"""

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from lakehouse.ingest.landing.content import UnreadableError, content_of
from lakehouse.ingest.landing.listing import is_gzip_name
from lakehouse.storage.folders import Folder

PART_BYTES = 32 * 2**20
_PADDING = bytes(16)  # more zeros than the end of a compressed file can have of its own


@dataclass(frozen=True)
class Part:
    """Whole lines of a file that follow one another.

    Attributes:
        start: byte of the content that the first of them begins at.
        end: byte behind the last of them.
        first_line: number of the first of them in the file, from 0.
        lines: how many they are.
    """

    start: int
    end: int
    first_line: int
    lines: int

    @property
    def size(self) -> int:
        """Bytes of the content."""
        return self.end - self.start


@dataclass(frozen=True)
class Inspected:
    """A file that can be read.

    Attributes:
        size: of the file, in bytes.
        sha256: of these bytes.
        parts: what its content may be cut into.
        remark: what is odd about it, though it can be read.
    """

    size: int
    sha256: str
    parts: tuple[Part, ...]
    remark: str | None = None

    @property
    def lines(self) -> int:
        """How many lines it has."""
        return sum(part.lines for part in self.parts)


def inspect(folder: Folder, name: str, part_bytes: int = PART_BYTES) -> Inspected:
    """Look through a file.

    Args:
        folder: that it lies in.
        name: of the file.
        part_bytes: least size of parts; a compressed file is one part, read from its beginning.

    Raises:
        UnreadableError: it holds no line, or is not what its name says, or is damaged.
        OSError: it cannot be reached.
    """
    is_gzip = is_gzip_name(name)
    with folder.open(name) as file:
        # The digest is of the file's own bytes, not of what they unpack to.
        digested = _Digested(file)
        parts = tuple(_parts(content_of(digested, name), None if is_gzip else part_bytes))
        is_padded = is_gzip and _ends_with(file, digested.size, _PADDING)
    if not parts:
        raise UnreadableError("it holds no line")
    remark = "gzip: zeros behind its end were left out" if is_padded else None
    return Inspected(digested.size, digested.sha256.hexdigest(), parts, remark)


def _ends_with(file: BinaryIO, size: int, end: bytes) -> bool:
    file.seek(max(0, size - len(end)))
    return file.read(len(end)) == end


def _parts(blocks: Iterator[bytes], part_bytes: int | None) -> Iterator[Part]:
    """The parts of a content, cut behind the first line feed that makes one long enough.

    A line feed at the very end opens no line; what stands behind the last one is a line.
    """
    start = position = first_line = line = 0
    last = b"\n"
    for block in blocks:
        cut = -1
        if part_bytes is not None and position + len(block) >= start + part_bytes:
            cut = block.find(b"\n", max(0, start + part_bytes - 1 - position))
        if cut >= 0:
            end, next_line = position + cut + 1, line + block.count(b"\n", 0, cut + 1)
            yield Part(start, end, first_line, next_line - first_line)
            start, first_line = end, next_line
        line += block.count(b"\n")
        position += len(block)
        last = block[-1:]
    line += last != b"\n"
    if line > first_line:
        yield Part(start, position, first_line, line - first_line)


class _Digested(io.RawIOBase):
    """A file that keeps the digest and the number of the bytes that were read of it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file: Any = file
        self.sha256 = hashlib.sha256()
        self.size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        read = int(self._file.readinto(buffer))
        self.sha256.update(memoryview(buffer)[:read])
        self.size += read
        return read
