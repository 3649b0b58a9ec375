"""A Delta table opened by delta-rs, once its log has been looked at."""

from deltalake import DeltaTable

from lakehouse.storage.delta.log_faults import check_log


def open_table(path: str, name: str, version: int | None = None) -> DeltaTable:
    """The table at a path, now or as it was at a Delta version.

    Args:
        path: of the table.
        name: by which a message names it.
        version: the newest one without it.

    Raises:
        StoreError: its log is damaged.
        DeltaError: it cannot be opened for another reason, such as a version that is not there.
    """
    check_log(path, name)
    return DeltaTable(path, version)
