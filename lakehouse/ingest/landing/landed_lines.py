"""A task of ingest: read parts of landed files, type their lines, write them where they belong."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.ingest import lines
from lakehouse.ingest.landing.inspection import Part
from lakehouse.ingest.landing.reading import blocks_of
from lakehouse.ingest.landing.runs import FileRecord
from lakehouse.ingest.lines import Columns, Keys
from lakehouse.ingest.parsing import BlockParser
from lakehouse.storage.delta.data_files import DataFile, Target
from lakehouse.storage.folders import Folder


@dataclass(frozen=True)
class Written:
    """What a task has written; nothing of it counts before it is committed.

    Attributes:
        bronze: all lines; None where bronze had them.
        silver: the valid rows, in order; they belong there if their keys are new.
        quarantine: the rows that break a rule.
        keys: of the valid rows.
    """

    bronze: DataFile | None
    silver: DataFile | None
    quarantine: DataFile | None
    keys: Keys


@dataclass(frozen=True)
class Task:
    """Reads and writes lines of one source.

    Attributes:
        landing: the landing folder.
        parser: of the source's lines.
        bronze: the source's.
        silver: the source's.
        quarantine: of all sources.
        key: column that names a row.
        batch: what all lines of the batch have in common, by column.
    """

    landing: Folder
    parser: BlockParser
    bronze: Target
    silver: Target
    quarantine: Target
    key: str
    batch: dict[str, pa.Scalar]

    def take_in(self, parts: list[tuple[FileRecord, Part]]) -> Written:
        """Read the parts of landed files, and write their lines.

        Raises:
            UnreadableError: a file is not what it was when it was inspected.
            OSError: one cannot be read, or nothing can be written.
        """
        bronze = self.bronze.writer()

        def kept() -> Iterator[Columns]:
            for block in lines.joined(self._blocks(parts)):
                bronze.write(block | self._in_common(block))
                yield block

        silver, quarantine, keys = self._typed(kept())
        return Written(bronze.close(), silver, quarantine, keys)

    def take_up(self, blocks: Iterable[Columns]) -> Written:
        """Write the lines that bronze has already, in their order."""
        return Written(None, *self._typed(blocks))

    def _typed(self, blocks: Iterable[Columns]) -> tuple[DataFile | None, DataFile | None, Keys]:
        silver, quarantine, keys = self.silver.writer(), self.quarantine.writer(), []
        for block in blocks:
            # Of lines that bronze has, what it says of their batch counts.
            rows = self._in_common(block) | lines.typed(block, self.parser)
            is_valid = lines.is_valid(rows)
            if is_valid.true_count < len(is_valid):
                quarantine.write(lines.where(rows, pc.invert(is_valid)))
                rows = lines.where(rows, is_valid)
            silver.write(rows)
            keys.append(Keys.of(rows[self.key]))
        return silver.close(), quarantine.close(), lines.keys_together(keys)

    def _blocks(self, parts: list[tuple[FileRecord, Part]]) -> Iterator[Columns]:
        for record, part in parts:
            line = part.first_line
            for block in blocks_of(self.landing, record.source_file, part):
                yield lines.as_columns(block, record, line)
                line += len(block)

    def _in_common(self, block: Columns) -> Columns:
        return {name: pa.repeat(value, len(block["raw"])) for name, value in self.batch.items()}
