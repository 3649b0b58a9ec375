"""How a table on disk becomes as declared: columns may be added, nothing else."""

from collections.abc import Iterator
from dataclasses import dataclass

from pyspark.sql.types import ArrayType, DataType, StructField, StructType

from lakehouse.tables.declaration import Table


@dataclass(frozen=True)
class AddedColumn:
    """A column, or a field within one, that the declaration has and the table on disk lacks."""

    path: tuple[str, ...]
    ddl: str
    comment: str


@dataclass(frozen=True)
class Migration:
    """The way from the table on disk to the declaration.

    Attributes:
        added: what is to be added, in order.
        obstacles: in words, each difference that adding cannot mend.
    """

    added: tuple[AddedColumn, ...]
    obstacles: tuple[str, ...]


def migration_of(table: Table, on_disk: StructType, found_version: int) -> Migration:
    """Compare the declaration with the table on disk.

    Args:
        table: the declaration.
        on_disk: the schema on disk.
        found_version: the version of the declaration that it was last written under.
    """
    differences = list(_differences((), on_disk, table.schema))
    added = tuple(difference for difference in differences if isinstance(difference, AddedColumn))
    obstacles = [difference for difference in differences if isinstance(difference, str)]
    if not table.takes_columns:
        strange = [field for field in on_disk if field.name not in table.schema.names]
        obstacles += [
            f"{field.name} is {field.dataType.simpleString()}, not declared" for field in strange
        ]
    obstacles += _other_definitions(table, on_disk)
    if found_version > table.version:
        obstacles = [
            f"it was written by a newer release (schema version {found_version}); update this one"
        ]
    return Migration(added, tuple(obstacles))


def _other_definitions(table: Table, on_disk: StructType) -> list[str]:
    """The computed columns whose values on disk are those of another definition, in words."""
    there = {field.name: field.metadata.get("comment") for field in on_disk}
    return [
        f"{column.name} holds `{there[column.name]}`, declared `{column.comment}`: give it another "
        "name, or put the settings back"
        for column in table.columns
        if column.is_computed and there.get(column.name, column.comment) != column.comment
    ]


def _differences(
    path: tuple[str, ...], on_disk: StructType, declared: StructType
) -> Iterator[AddedColumn | str]:
    there = {field.name: field for field in on_disk}
    for field in declared:
        if field.name not in there:
            yield _addition((*path, field.name), field)
        else:
            yield from _type_differences(
                (*path, field.name), there[field.name].dataType, field.dataType
            )


def _type_differences(
    path: tuple[str, ...], on_disk: DataType, declared: DataType
) -> Iterator[AddedColumn | str]:
    if isinstance(on_disk, StructType) and isinstance(declared, StructType):
        yield from _differences(path, on_disk, declared)
    elif isinstance(on_disk, ArrayType) and isinstance(declared, ArrayType):
        yield from _type_differences((*path, "element"), on_disk.elementType, declared.elementType)
    elif on_disk.simpleString() != declared.simpleString():
        yield f"{'.'.join(path)} is {on_disk.simpleString()}, declared {declared.simpleString()}"


def _addition(path: tuple[str, ...], field: StructField) -> AddedColumn:
    return AddedColumn(path, field.dataType.simpleString(), field.metadata.get("comment", ""))
