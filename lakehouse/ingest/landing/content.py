"""The bytes of a landed file, unpacked, in blocks; all kinds of damage are one error."""

import gzip
import io
import zlib
from collections.abc import Iterator
from typing import Any

from lakehouse.ingest.landing.listing import is_gzip_name

BLOCK = 2**20
_GZIP_MAGIC = b"\x1f\x8b"


class UnreadableError(Exception):
    """A file holds nothing that can be read; the message says why."""


def content_of(file: Any, name: str) -> Iterator[bytes]:
    """The content from where the file stands, in blocks of a megabyte at most.

    Raises:
        UnreadableError: it is not what its name says, or damaged.
        OSError: it cannot be read any further.
    """
    source: Any = io.BufferedReader(file, BLOCK)
    is_gzip = source.peek(2)[:2] == _GZIP_MAGIC
    if not source.peek(1):
        raise UnreadableError("it is empty")
    if is_gzip_name(name) and not is_gzip:
        raise UnreadableError("it is not gzip, though its name says so; rename it")
    if is_gzip and not is_gzip_name(name):
        raise UnreadableError(
            "it is gzip, though its name does not say so; rename it to end in .gz"
        )
    return _unpacked(source) if is_gzip else iter(lambda: source.read(BLOCK), b"")


def _unpacked(source: Any) -> Iterator[bytes]:
    """The content of a gzip file of one or more members; zeros behind them are padding."""
    try:
        with gzip.GzipFile(fileobj=source) as unpacked:
            yield from iter(lambda: unpacked.read(BLOCK), b"")
    except EOFError:
        raise UnreadableError(
            "gzip: it ends before its end; land it whole, by an atomic rename"
        ) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UnreadableError(f"gzip: it is damaged ({error})") from None
