"""What a declaration of a table or a view says, and what is derived from it."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from textwrap import dedent

from pyspark.sql.types import DataType, StructField, StructType

from lakehouse.tables.retention import NAMED, Retention

SQL_TYPES = {
    "long": "bigint",
    "integer": "int",
    **{name: name for name in ("double", "boolean", "string", "timestamp")},
}
"""Spark's SQL word for each type that a YAML file can name."""
VERSION_PROPERTY = "lakehouse.schemaVersion"
_CHECKPOINT_INTERVAL = "50"  # commits; writing a checkpoint costs as much as several of them

LEFT_TO_MAINTENANCE = {
    # Delta knows nothing of the models and readers that need a commit: it drops none by itself.
    "delta.enableExpiredLogCleanup": "false",
    # Every checkpoint names the files that were removed since: a look at the table reads them all.
    "delta.deletedFileRetentionDuration": "interval 1 hours",
}
"""What Delta would clean up by itself, or keep for its own clean-up."""

# A file is a day's: its partition and the first columns, its window, tell it. More would only make
# the log longer.
_NARROW_STATISTICS = {"delta.dataSkippingNumIndexedCols": "2"}


@dataclass(frozen=True)
class Column:
    """One column: its name, its type in Spark's DDL, and what it means.

    Attributes:
        is_computed: whether the comment defines its values: with another one it is another column.
    """

    name: str
    ddl: str
    comment: str
    is_computed: bool = False


@dataclass(frozen=True)
class Table:
    """One table: where it stands, what a row is, and what no two rows share.

    Attributes:
        layer: bronze, silver or gold.
        name: unique in its layer.
        grain: what one row is, in words.
        keys: columns that no two rows share.
        columns: all of them.
        partition_by: the partition columns.
        append_only: whether rows are never changed.
        takes_columns: whether a table on disk may have more columns: those that the settings once
            named. Rows that have them keep them.
        version: of its schema; raised with every change of it, and kept in the table's properties.
        sought_by: columns that files are skipped by, where not all are worth keeping statistics of.
        from_driver: whether its rows are few, and written on the driver without a Spark job.
        retention: how long its versions are kept that nobody needs.
    """

    layer: str
    name: str
    grain: str
    keys: tuple[str, ...]
    columns: tuple[Column, ...]
    partition_by: tuple[str, ...] = ()
    append_only: bool = True
    sought_by: tuple[str, ...] = ()
    from_driver: bool = False
    takes_columns: bool = False
    version: int = 1
    retention: Retention = NAMED

    @property
    def full_name(self) -> str:
        """`layer.name`, as SQL users write it."""
        return f"{self.layer}.{self.name}"

    def path_in(self, root: str) -> str:
        """Where the table lies in a lakehouse."""
        return f"{root}/{self.layer}/{self.name}"

    @property
    def schema(self) -> StructType:
        """The Spark schema with comments; all fields are nullable, as Delta readers see them."""
        return StructType(
            [
                StructField(column.name, spark_type(column.ddl), True, {"comment": column.comment})
                for column in self.columns
            ]
        )

    @property
    def properties(self) -> dict[str, str]:
        """Delta's table properties."""
        return {
            "delta.appendOnly": str(self.append_only).lower(),
            "delta.checkpointInterval": _CHECKPOINT_INTERVAL,
            "delta.enableDeletionVectors": "false",  # not every Delta reader can read them
            VERSION_PROPERTY: str(self.version),
            **LEFT_TO_MAINTENANCE,
            **(
                {"delta.dataSkippingStatsColumns": ",".join(self.sought_by)}
                if self.sought_by
                else {}
            ),
            **(_NARROW_STATISTICS if self.from_driver and self.partition_by else {}),
        }


@dataclass(frozen=True)
class View:
    """One view of gold: its name, its grain, its columns, and its query in Spark's SQL."""

    name: str
    grain: str
    columns: tuple[Column, ...]
    sql: str

    @property
    def full_name(self) -> str:
        """`gold.name`, as SQL users write it."""
        return f"gold.{self.name}"


def columns(text: str, declared: Iterable[Column] = ()) -> tuple[Column, ...]:
    '''Columns from a text, a line for each: its name, its type in Spark's DDL, and what it means.

    A line that is indented further continues the one before. Names alone, with commas between
    them, stand for the declared columns of these names.

    >>> of_day = Column("day", "date", "Day of the events")
    >>> columns("""
    ...     day
    ...     n_rows bigint Predictions,
    ...         with or without a label
    ... """, [of_day])[1].comment
    'Predictions, with or without a label'
    '''
    by_name = {column.name: column for column in declared}
    lines: list[str] = []
    for line in dedent(text).strip().splitlines():
        if line.startswith(" "):
            lines[-1] += f" {line.strip()}"
        else:
            lines.append(line)
    declarations: list[Column] = []
    for line in lines:
        names = line.split(", ")
        if by_name.keys() >= set(names):
            declarations += [by_name[name] for name in names]
        else:
            name, ddl, comment = line.split(maxsplit=2)
            declarations.append(Column(name, ddl, comment))
    return tuple(declarations)


@cache
def spark_type(ddl: str) -> DataType:
    """Spark's type of a DDL text, such as `map<string,double>`."""
    row = StructType.fromDDL(f"value {ddl}")
    assert isinstance(row, StructType)
    return row.fields[0].dataType
