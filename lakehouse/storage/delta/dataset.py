"""The files of a Delta table as a dataset that pyarrow reads."""

import operator
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from pyarrow import fs
from pyarrow.compute import Expression
from pyarrow.dataset import Dataset, FileSystemDataset, ParquetFileFragment

from lakehouse.storage.delta.file_statistics import STATISTICS_UNIT, files_of


def dataset_of(delta: DeltaTable, partitions: str | None = None) -> Dataset:
    """The files of a table, for pyarrow to read.

    Pyarrow opens files of a disk by itself. Through delta-rs its threads would call Python, which
    kills the process where the interpreter ends meanwhile. With an object store they still do, so
    read without threads (`use_threads=False`).

    Where a file's statistics leave out a column, as Spark's do flags, delta-rs tells pyarrow that
    its values are at least and at most null; a filter on that column then passes the file over. So
    here such a file is known by its partition and by its other columns alone.

    Args:
        delta: the table, at the version that is asked for.
        partitions: an SQL predicate on the partition columns; other files are left out.
    """
    uri = urlsplit(delta.table_uri)
    files = None
    if uri.scheme == "file":
        files = fs.SubTreeFileSystem(url2pathname(uri.path), fs.LocalFileSystem())
    dataset = delta.to_pyarrow_dataset(filesystem=files, file_pruning_predicate=partitions)
    lacking = _lacking_statistics(files_of(delta))
    return _knowing_less(dataset, lacking) if len(lacking) else dataset


def _lacking_statistics(files: pa.Table) -> pa.Table:
    """The files that tell no bounds of a column which has values, though some file may."""
    lacking = pa.array([False] * len(files), pa.bool_())
    for name in files.column_names:
        kind, _, column = name.partition(".")
        if kind == "min":
            has_values = pc.not_equal(files[f"null_count.{column}"], files["num_records"])
            tells_none = pc.or_(files[name].is_null(), files[f"max.{column}"].is_null())
            lacking = pc.or_(lacking, pc.and_(tells_none, pc.fill_null(has_values, True)))
    return files.filter(lacking)


def _knowing_less(dataset: FileSystemDataset, files: pa.Table) -> FileSystemDataset:
    """The dataset, knowing of these files what their statistics tell and no more."""
    fragments = list(dataset.get_fragments())
    # The log writes paths as parts of an address, pyarrow as they are on the disk.
    paths = pa.array([unquote(path) for path in files["path"].to_pylist()], pa.string())
    is_read = pc.is_in(paths, pa.array([fragment.path for fragment in fragments], pa.string()))
    read = zip(paths.filter(is_read).to_pylist(), files.filter(is_read).to_pylist(), strict=True)
    known = {path: _known(file, dataset.schema) for path, file in read}
    less_known = [
        _of_file(fragment, known[fragment.path]) if fragment.path in known else fragment
        for fragment in fragments
    ]
    return FileSystemDataset(less_known, dataset.schema, dataset.format, dataset.filesystem)


def _of_file(fragment: ParquetFileFragment, known: Expression) -> ParquetFileFragment:
    return fragment.format.make_fragment(fragment.path, fragment.filesystem, known)


def _known(file: dict[str, Any], schema: pa.Schema) -> Expression:
    """What holds for all rows of a file: its partition, and the bounds that it tells.

    Args:
        file: a row of `files_of`.
        schema: of the table.
    """
    known = pc.scalar(True)
    for field in schema:
        column, partition = pc.field(field.name), f"partition.{field.name}"
        if partition in file:
            value = file[partition]
            known &= column.is_null() if value is None else column == pa.scalar(value, field.type)
        for bound, holds in (("min", operator.ge), ("max", operator.le)):
            value = file.get(f"{bound}.{field.name}")
            if value is not None:
                if bound == "max" and pa.types.is_timestamp(field.type):
                    value += STATISTICS_UNIT
                # Pyarrow skips by a bound of this form alone.
                known &= holds(column, pa.scalar(value, field.type)) | column.is_null()
    return known
