"""Predictions made again: each reading by the version that the records say has scored it."""

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.errors import RecoveryError
from lakehouse.scoring.binding import Binding
from lakehouse.scoring.scorer import Scorer
from lakehouse.storage.kept_rows import kept_rows
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.queries import Batch
from lakehouse.storage.store import Row

Position = tuple[int, int]
"""Landed file and line."""


@dataclass(frozen=True)
class Stretch:
    """The readings of a micro-batch of scoring, consecutive in the order of silver.

    Attributes:
        query_id: of the stream.
        number: of the micro-batch.
        binding: to the versions that scored them.
        first: place of the first one among all readings.
        end: behind the last one.
    """

    query_id: str
    number: int
    binding: Binding
    first: int
    end: int


def score_again(lakehouse: Lakehouse) -> None:
    """Score the readings once more, micro-batch by micro-batch, each by its version.

    Scoring reads silver in the order in which ingest wrote it, that of landed files and lines, so
    how many rows each batch had tells which ones. Readings that no batch has scored wait.

    Raises:
        RecoveryError: the records do not tell which version has scored which readings.
    """
    catalog, store = lakehouse.catalog, lakehouse.store
    unscorable = Counter(
        (row["query_id"], row["batch_id"]) for row in kept_rows(lakehouse, catalog.unscorable)
    )
    stretches = stretches_of(
        store.rows(catalog.scoring_ledger), store.rows(catalog.scoring_cost), unscorable
    )
    table = store.arrow(catalog.readings, columns=["landed_file_id", "line"])
    ordered = table.sort_by([("landed_file_id", "ascending"), ("line", "ascending")])
    if stretches and stretches[-1].end > len(ordered):
        raise RecoveryError(
            f"{stretches[-1].end:,} readings were scored by what is on record, and bronze tells of "
            f"{len(ordered):,}; put back a copy of the lakehouse"
        )
    readings, scorer = store.read(catalog.readings), Scorer(lakehouse)
    for each in stretches:
        if each.first < each.end:
            ends = ordered.take([each.first, each.end - 1]).to_pylist()
            first, last = ((row["landed_file_id"], row["line"]) for row in ends)
            batch = Batch(each.query_id, each.number)
            scorer.predict(_between(readings, first, last), batch, each.binding)


def stretches_of(
    ledger: Sequence[Row], costs: Sequence[Row], unscorable: Counter[tuple[str, int]]
) -> list[Stretch]:
    """Which readings each micro-batch has scored, in the order of the batches.

    >>> at = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
    >>> def row(number, version, **more):
    ...     return {"query_id": "q", "batch_id": number, "model_version": version} | more
    >>> ledger = [row(number, str(number + 1), resolved_at=at) for number in (1, 0)]
    >>> costs = [row(0, "1", rows=5), row(1, "2", rows=3)]
    >>> found = stretches_of(ledger, costs, Counter({("q", 0): 1}))
    >>> [(each.binding.version, each.first, each.end) for each in found]
    [('1', 0, 6), ('2', 6, 9)]

    Args:
        ledger: rows of silver.scoring_ledger.
        costs: rows of silver.scoring_cost.
        unscorable: by query and batch, readings that have no finite prediction.

    Raises:
        RecoveryError: a batch that is not its stream's last has no row of costs.
    """
    rows = {(row["query_id"], row["batch_id"]): row["rows"] for row in costs}
    began: dict[str, dt.datetime] = {}
    newest: dict[str, int] = {}
    for row in ledger:
        query_id, number = row["query_id"], row["batch_id"]
        began[query_id] = min(row["resolved_at"], began.get(query_id, row["resolved_at"]))
        newest[query_id] = max(number, newest.get(query_id, number))
    stretches: list[Stretch] = []
    place = 0
    for row in sorted(ledger, key=lambda row: (began[row["query_id"]], row["batch_id"])):
        key = query_id, number = row["query_id"], row["batch_id"]
        if key not in rows:
            if number < newest[query_id]:
                raise RecoveryError(
                    f"how many readings micro-batch {number} of scoring had is not on record; put "
                    "back a copy of silver"
                )
            continue  # it was cut off: its readings wait
        size = rows[key] + unscorable[key]
        stretches.append(Stretch(query_id, number, Binding.of_row(row), place, place + size))
        place += size
    return stretches


def _between(readings: DataFrame, first: Position, last: Position) -> DataFrame:
    """The readings from one position to another, both included."""
    position = F.struct("landed_file_id", "line")
    file, line = readings.schema["landed_file_id"].dataType, readings.schema["line"].dataType

    def at(place: Position) -> object:
        return F.struct(F.lit(place[0]).cast(file), F.lit(place[1]).cast(line))

    return readings.where(position.between(at(first), at(last)))  # type: ignore[arg-type]
