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


def migration_of(table: Table, found: StructType, found_version: int) -> Migration:
    """Compare the declaration with the table on disk.

    Args:
        table: the declaration.
        found: the schema on disk.
        found_version: the version of the declaration that it was last written under.
    """
    differences = list(_differences((), found, table.schema))
    added = tuple(each for each in differences if isinstance(each, AddedColumn))
    obstacles = [each for each in differences if isinstance(each, str)]
    if not table.takes_columns:
        strange = [field for field in found if field.name not in table.schema.names]
        obstacles += [
            f"{field.name} is {field.dataType.simpleString()}, not declared" for field in strange
        ]
    if found_version > table.version:
        obstacles = [
            f"it was written by a newer release (schema version {found_version}); update this one"
        ]
    return Migration(added, tuple(obstacles))


def _differences(
    path: tuple[str, ...], found: StructType, declared: StructType
) -> Iterator[AddedColumn | str]:
    there = {field.name: field for field in found}
    for field in declared:
        if field.name not in there:
            yield _addition((*path, field.name), field)
        else:
            yield from _type_differences(
                (*path, field.name), there[field.name].dataType, field.dataType
            )


def _type_differences(
    path: tuple[str, ...], found: DataType, declared: DataType
) -> Iterator[AddedColumn | str]:
    if isinstance(found, StructType) and isinstance(declared, StructType):
        yield from _differences(path, found, declared)
    elif isinstance(found, ArrayType) and isinstance(declared, ArrayType):
        yield from _type_differences((*path, "element"), found.elementType, declared.elementType)
    elif found.simpleString() != declared.simpleString():
        yield f"{'.'.join(path)} is {found.simpleString()}, declared {declared.simpleString()}"


def _addition(path: tuple[str, ...], field: StructField) -> AddedColumn:
    return AddedColumn(path, field.dataType.simpleString(), field.metadata.get("comment", ""))
