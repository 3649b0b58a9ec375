"""Faults of the storage below the tables, in one sentence each.

Python, Rust, Java and SQLite tell of a full disk or a lost file in words of their own. Here they
are told apart, by texts and numbers, where an error leaves a job.
"""

import errno
import re
from collections.abc import Iterator

from lakehouse.errors import DiskFullError, LakehouseError, StoreError

_FULL = re.compile(
    r"No space left on device|Disk quota exceeded|database or disk is full|not enough space",
    re.IGNORECASE,
)
_COMMITS_GONE = re.compile(
    r"DELTA_MISSING_FILES_UNEXPECTED_VERSION|DELTA_VERSIONS_NOT_CONTIGUOUS|failOnDataLoss"
    r"|gap in delta log|found gap:|non-existent version"
)
_FILE_GONE = re.compile(
    r"FILE_NOT_EXIST|DELTA_FILE_NOT_FOUND|Object at location .* not found"
    r"|does not exist|No such file or directory"
)
_FILE_DAMAGED = re.compile(
    r"is not a Parquet file|magic (?:bytes|number)|Corrupt footer|CANNOT_READ_FILE_FOOTER"
    r"|FAILED_READ_FILE|Parquet (?:file|error)|Couldn't deserialize thrift|Unexpected end of stream"
)
_DATA_FILE = re.compile(r"[^\s'\"]*?([\w.-]+/[\w.-]+/(?:\w+=[^/]*/)?part-[\w.-]+\.parquet)")


def as_told(error: BaseException) -> BaseException:
    """The error in one sentence where a fault of the storage caused it; else the error itself."""
    if isinstance(error, LakehouseError | KeyboardInterrupt | SystemExit):
        return error
    told = _fault(error)
    if told is None:
        return error
    told.__cause__ = error
    for note in getattr(error, "__notes__", []):
        told.add_note(note)
    return told


def _fault(error: BaseException) -> LakehouseError | None:
    chain = list(_chain(error))
    texts = "\n".join(map(str, chain))
    is_full = any(getattr(each, "errno", None) in (errno.ENOSPC, errno.EDQUOT) for each in chain)
    if is_full or _FULL.search(texts):
        return DiskFullError(
            "the disk is full; free space where the lakehouse lies, and run the job again: it goes "
            "on where it stopped"
        )
    if _COMMITS_GONE.search(texts):
        return StoreError(
            "commits that a stream or a reader needs are gone from a table's _delta_log; put them "
            "back from a copy, or see docs/faults.md for what else can be done"
        )
    file = _DATA_FILE.search(texts)
    if file and (_FILE_GONE.search(texts) or _FILE_DAMAGED.search(texts)):
        how = "gone" if _FILE_GONE.search(texts) else "damaged"
        return StoreError(
            f"the data file {file[1]} is {how}; put it back from a copy, or see docs/faults.md for "
            "what else can be done"
        )
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what it came of."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or each.__context__
