"""What is known of a table without a look at its rows."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TableState:
    """What Delta's log tells of a table, without a look at its rows.

    Attributes:
        version: the newest Delta version.
        rows: None where files were written without statistics.
        size: bytes of the files that make up this version.
    """

    name: str
    version: int
    files: int
    rows: int | None
    size: int
