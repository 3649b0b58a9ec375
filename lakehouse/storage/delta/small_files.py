"""Small files of a table that grows by one a commit, gathered to larger ones."""

import pyarrow.compute as pc
from deltalake import DeltaTable

from lakehouse.storage.delta.file_statistics import files_of

_MOST = 50
# Months of a plant, and yet read at once: a look at a day reads the file that it is in.
_COMPACTED_BYTES = 2**20


def gather(delta: DeltaTable, most: int = _MOST) -> None:
    """Make one file of `most` small ones. The caller holds the right to write the table."""
    sizes = files_of(delta)["size_bytes"]
    if pc.sum(pc.less(sizes, _COMPACTED_BYTES)).as_py() >= most:
        delta.optimize.compact(target_size=_COMPACTED_BYTES)
