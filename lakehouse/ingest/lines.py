"""Lines as Arrow batches: origin, raw text, typed values and every rule that they break."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.ingest.landing.runs import FileRecord, Run
from lakehouse.ingest.parsing import BlockParser
from lakehouse.instants import ARROW_MOMENT
from lakehouse.settings.reserved import POSITION

GIVEN = ("raw", "raw_bytes", *POSITION, "landed_at")
"""Columns of a line before it is typed."""
_BLOCK_BYTES = 4 * 2**20

Columns = dict[str, pa.Array]


def as_columns(lines: list[bytes], record: FileRecord, first_line: int) -> Columns:
    """Consecutive lines of a file, with where they came from (the columns of `GIVEN`)."""
    size = len(lines)
    raw, raw_bytes = _as_text(lines)
    return {
        "raw": raw,
        "raw_bytes": raw_bytes,
        "source_file": pa.repeat(record.source_file, size),
        "line": pa.array(np.arange(first_line, first_line + size)),
        "landed_file_id": pa.repeat(pa.scalar(record.landed_file_id, pa.int64()), size),
        "landed_at": pa.repeat(pa.scalar(record.landed_at, ARROW_MOMENT), size),
    }


def _as_text(lines: list[bytes]) -> tuple[pa.Array, pa.Array]:
    """The lines as text, and the bytes of those that are not UTF-8 (shown by escapes)."""
    raw = pa.array(lines, pa.binary())
    try:
        return raw.cast(pa.string()), pa.nulls(len(lines), pa.binary())
    except pa.ArrowInvalid:
        texts = [line.decode("utf-8", "backslashreplace") for line in lines]
        foreign = [
            None if text.encode() == line else line for text, line in zip(texts, lines, strict=True)
        ]
        return pa.array(texts, pa.string()), pa.array(foreign, pa.binary())


def joined(blocks: Iterable[Columns]) -> Iterator[Columns]:
    """The blocks of many small files as few large ones."""
    waiting: list[pa.RecordBatch] = []
    size = 0
    for block in blocks:
        waiting.append(pa.record_batch(block))
        size += waiting[-1].nbytes
        if size >= _BLOCK_BYTES:
            yield columns_of(pa.concat_batches(waiting))
            waiting, size = [], 0
    if waiting:
        yield columns_of(pa.concat_batches(waiting))


def typed(given: Columns, parser: BlockParser) -> Columns:
    """The columns of `GIVEN` with those of the source's values, and `reasons`."""
    raw, foreign = given["raw"].cast(pa.binary()), given["raw_bytes"]
    as_came = raw if foreign.null_count == len(foreign) else pc.coalesce(foreign, raw)
    parsed = parser.parse(as_came.to_pylist(), given["landed_at"].cast(ARROW_MOMENT))
    return given | parsed.columns | {"reasons": parsed.reasons}


def columns_of(batch: pa.RecordBatch) -> Columns:
    """The columns by name."""
    return dict(zip(batch.schema.names, batch.columns, strict=True))


def where(columns: Columns, mask: pa.Array) -> Columns:
    """The rows of the mask."""
    return columns_of(pa.record_batch(columns).filter(mask))


def is_valid(columns: Columns) -> pa.Array:
    """Return whether each line breaks no rule."""
    return pc.equal(pc.list_value_length(columns["reasons"]), 0)


def in_chunks(
    batches: Iterable[pa.RecordBatch], run: Run, most_lines: int
) -> Iterator[tuple[int, pa.Table]]:
    """Rows of a run's lines, cut at every `most_lines` lines of the run; none is empty.

    Yields:
        The number of the chunk in the run, and its rows.
    """
    before = run.lines_before
    waiting: list[pa.RecordBatch] = []
    current = 0
    for batch in batches:
        ids, numbers = batch.column("landed_file_id").to_numpy(), batch.column("line").to_numpy()
        places = np.array([before[file_id] for file_id in ids.tolist()]) + numbers
        chunks = places // most_lines
        starts = [0, *(np.flatnonzero(np.diff(chunks)) + 1).tolist()]
        for start, end in zip(starts, [*starts[1:], len(batch)], strict=True):
            if chunks[start] != current and waiting:
                yield current, pa.Table.from_batches(waiting)
                waiting = []
            current = int(chunks[start])
            waiting.append(batch.slice(start, end - start))
    if waiting:
        yield current, pa.Table.from_batches(waiting)


@dataclass(frozen=True)
class Keys:
    """What is known of the keys of some valid rows.

    Attributes:
        least: the least key; None where there is none.
        greatest: the greatest one.
        are_distinct: whether they are known to differ, all of them.
    """

    least: Any = None
    greatest: Any = None
    are_distinct: bool = True

    @classmethod
    def of(cls, keys: pa.Array) -> "Keys":
        """Of the keys of a block."""
        ends = pc.min_max(keys).as_py()
        return cls(ends["min"], ends["max"], pc.count_distinct(keys).as_py() == len(keys))


def keys_together(blocks: Iterable[Keys]) -> Keys:
    """Of all blocks. Those of distinct keys whose ranges do not meet prove that all differ: keys
    that rise come so.
    """
    parts = sorted(
        (block for block in blocks if block.least is not None), key=lambda block: block.least
    )
    if not parts:
        return Keys()
    are_apart = all(before.greatest < after.least for before, after in pairwise(parts))
    greatest = max(block.greatest for block in parts)
    return Keys(parts[0].least, greatest, are_apart and all(block.are_distinct for block in parts))
