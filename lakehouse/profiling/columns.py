"""What a monitored column is, and how its cells are read: null, number or text."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

DataType = Literal["double", "long", "integer", "boolean", "string", "timestamp"]
Kind = Literal["numeric", "categorical"]
Cells: TypeAlias = pd.Series | pa.Array | pa.ChunkedArray

MAX_ITEMS = 10_000
"""A column with more distinct values is not categorical: its values are not counted singly."""

ARROW_TYPES = {
    "double": pa.float64(),
    "long": pa.int64(),
    "integer": pa.int32(),
    "boolean": pa.bool_(),
    "string": pa.string(),
    "timestamp": pa.timestamp("us"),
}


@dataclass(frozen=True)
class ColumnSpec:
    """A monitored column: its name, Spark's word for its type, and how drift in it is measured.

    Raises:
        ValueError: A type or kind that is not known, or a numeric column of text.
    """

    name: str
    data_type: DataType
    kind: Kind

    def __post_init__(self) -> None:
        if self.data_type not in get_args(DataType):
            raise ValueError(
                f"Column {self.name!r}: write a data_type of {get_args(DataType)}, not "
                f"{self.data_type!r}."
            )
        if self.kind not in get_args(Kind):
            raise ValueError(
                f"Column {self.name!r}: write a kind of {get_args(Kind)}, not {self.kind!r}."
            )
        if self.is_text and self.kind == "numeric":
            raise ValueError(
                f"Column {self.name!r} is a string: write categorical, it cannot be numeric."
            )

    @property
    def is_text(self) -> bool:
        """Whether cells are measured by their length; all other types are measured as numbers."""
        return self.data_type == "string"

    @property
    def is_categorical(self) -> bool:
        """Whether each value is counted by itself."""
        return self.kind == "categorical"


def read_column(values: Cells, data_type: DataType) -> pa.Array:
    """The cells as one Arrow array of the declared type, nulls among them.

    NaN is a value of a double column and a null of every other type. pandas writes a null of a
    plain float Series as NaN too, so where the two must be told apart pass an Arrow array or a
    nullable Series.

    Raises:
        ValueError: A cell that the declared type cannot hold (pyarrow's ArrowInvalid).
    """
    is_arrow = isinstance(values, pa.Array | pa.ChunkedArray)
    cells = values if is_arrow else pa.array(values, from_pandas=data_type != "double")
    if isinstance(cells, pa.ChunkedArray):
        cells = cells.combine_chunks()
    # Nanoseconds are finer than Spark's timestamps: they are cut, not refused.
    return cells.cast(ARROW_TYPES[data_type], safe=data_type != "timestamp")


def numbers_of(cells: pa.Array) -> np.ndarray:
    """Non-null cells as float64: booleans as 0 and 1, timestamps as epoch seconds (UTC)."""
    return as_doubles(raw_numbers_of(cells), cells.type)


def raw_numbers_of(cells: pa.Array) -> np.ndarray:
    """Non-null cells as lossless numbers: booleans, and timestamps in epoch microseconds."""
    return (cells.view(pa.int64()) if pa.types.is_timestamp(cells.type) else cells).to_numpy(
        zero_copy_only=False
    )


def as_doubles(raw: np.ndarray, data_type: pa.DataType) -> np.ndarray:
    """`raw_numbers_of` as float64, in the same order and in the unit of the metrics."""
    return raw / 1e6 if pa.types.is_timestamp(data_type) else raw.astype(np.float64, copy=False)


def counted(cells: pa.Array) -> pa.StructArray:
    """Each value once, and how often it occurs."""
    return pc.value_counts(cells)


def items_of(counts: pa.StructArray) -> dict[str, int] | None:
    """Return how often each value occurs, by its text; None for more than MAX_ITEMS values."""
    if len(counts) > MAX_ITEMS:
        return None
    items: Counter[str] = Counter()
    for value, n in zip(counts.field(0).to_pylist(), counts.field(1).to_pylist(), strict=True):
        items[text_of(value)] += n
    return dict(items)


def text_of(value: Any) -> str:
    """A value's text: 1 for 1.0, `true` for True as Spark casts it, otherwise str()."""
    if isinstance(value, bool | np.bool_):
        return str(value).lower()
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)
