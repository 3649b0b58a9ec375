"""Small files of a table that grows by one a commit, gathered to larger ones."""

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from lakehouse.storage.delta.file_statistics import files_of

_MOST = 50
# Months of a plant, and yet read at once: a look at a day reads the file that it is in.
_GATHERED_BYTES = 2**20
_MOST_GATHERED = 128
_PARTITION = "partition."


def gather(delta: DeltaTable, most: int = _MOST) -> bool:
    """Make one file of `most` small ones. The caller holds the right to write the table.

    A commit that gathers files changes no row (`dataChange` is false): streams pass it over.

    Returns:
        Whether there were so many.
    """
    files = files_of(delta)
    if small_files(files) < most:
        return False
    delta.optimize.compact(target_size=gathered_bytes(files))
    return True


def small_files(files: pa.Table) -> int:
    """The most small files that a partition has: those of two partitions stay apart."""
    is_small = pc.less(files["size_bytes"], gathered_bytes(files) // 2)
    partitions = [name for name in files.column_names if name.startswith(_PARTITION)]
    small = files.filter(is_small)
    if not partitions:
        return len(small)
    counts = small.group_by(partitions).aggregate([([], "count_all")])["count_all"]
    return pc.max(counts).as_py() or 0


def gathered_bytes(files: pa.Table) -> int:
    """How large a gathered file is to be: twice that once there were too many of that size."""
    total, size = pc.sum(files["size_bytes"]).as_py() or 0, _GATHERED_BYTES
    while total > size * _MOST_GATHERED:
        size *= 2
    return size
