"""The lines of a part of a landed file, as they came."""

from collections.abc import Iterable, Iterator
from typing import BinaryIO

from lakehouse.ingest.landing.content import BLOCK, UnreadableError, content_of
from lakehouse.ingest.landing.inspection import Part
from lakehouse.ingest.landing.listing import is_gzip_name
from lakehouse.ingest.validation import LONGEST_LINE
from lakehouse.storage.folders import Folder


def blocks_of(folder: Folder, name: str, part: Part) -> Iterator[list[bytes]]:
    """The part's lines, without their line feeds, some thousands at once.

    A line that is longer than the rules allow is cut behind the byte that makes it so: the memory
    that a line takes is bounded, and the file has the rest.

    Raises:
        UnreadableError: the file is not what it was when it was inspected.
        OSError: it cannot be reached any more.
    """
    lines = 0
    with folder.open(name) as file:
        content = content_of(file, name) if is_gzip_name(name) else _range(file, part)
        for block in _split(content):
            lines += len(block)
            yield block
    if lines != part.lines:
        raise UnreadableError(f"it changed while it was read: {lines} lines came of {part.lines}")


def _range(file: BinaryIO, part: Part) -> Iterator[bytes]:
    file.seek(part.start)
    left = part.size
    while left and (block := file.read(min(BLOCK, left))):
        left -= len(block)
        yield block


def _split(content: Iterable[bytes]) -> Iterator[list[bytes]]:
    """The lines of a content; a line feed at its very end opens none."""
    open_line = b""
    for block in content:
        *lines, rest = block.split(b"\n")
        if lines:
            lines[0] = (open_line + lines[0])[: LONGEST_LINE + 1]
            yield lines
            open_line = rest
        elif len(open_line) <= LONGEST_LINE:
            open_line = (open_line + rest)[: LONGEST_LINE + 1]
    if open_line:
        yield [open_line]
