"""What do a decision and a training cost on the thousandth day, in those of the fiftieth?

Limit: 1.2 times the seconds, the memory and the rows read; a policy record of 64 kB. Streams whose
rule never stands still, through the real loop over arrays, archive and exclusions included.
Training takes the newest 1,500 labelled rows, so that its bound is reached by the fiftieth day;
until then more rows make it dearer. Then the ledgers of the run are written to Delta tables, an
entry a commit, and read as a night reads them.

    PYTHONPATH=. python tests/benchmarks/thousand_days.py [DAYS [FAMILY ...]]

Seconds are the process's, whatever else the machine does. Figures are medians over the nights of days 50 to 100 and of the last 50 days; a half of
the nights is timed, the other half traced for memory (Python's and numpy's). Rows read are those that the ports gave, and
the entries of the ledgers. Figures: docs/policy-evidence.md, "Bounded".
"""

import sys
import tempfile
import time
import tracemalloc
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cached_property, partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.instants import moment_of
from lakehouse.retraining.loop import LoopContext, Night
from lakehouse.retraining.policy.decide import Decision
from lakehouse.retraining.policy.history import Entries
from lakehouse.retraining.policy.records import BinCounts
from lakehouse.retraining.table_ledger import TableLedger
from lakehouse.settings import PolicySettings
from lakehouse.simulation.arrays import (
    MemoryLedger,
    Stream,
    StreamPredictions,
    StreamRows,
    StreamTrainer,
)
from lakehouse.simulation.families import Shape, family_stream
from lakehouse.simulation.learner import learner_for
from lakehouse.storage.session import open_session
from tests.support.kept_ledgers import KeptLedgers

DAYS, FAMILIES = 1_000, ("drifting_rbf", "turning_hyperplane")
FIRST_AFTER, MOST_ROWS, A_DAY = 480, 1_500, 48
WINDOW = 50
SECONDS, BYTES, ROWS, FILES = "seconds", "peak bytes", "rows read", "bytes of files read"
DECISION, TRAINING, LEDGERS = "decision", "training", "ledgers' entries"
_US_A_DAY = np.timedelta64(86_400_000_000, "us")


class Meter:
    """What each act of each night cost.

    Attributes:
        found: by act and unit, the day and the figure of each time.
        day: of now.
        read: rows that the ports gave since an act began.
    """

    def __init__(self) -> None:
        """Nothing was measured."""
        self.found: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
        self.day = self.read = 0
        self._rng = np.random.default_rng(0)

    def measured(self, act: str, do: Callable[[], Any]) -> Any:
        """Do it: timed, or traced. What reads Delta tables is timed alone: tracing aborts under the
        threads of delta-rs.
        """
        self.read, traced = 0, act != LEDGERS and bool(self._rng.random() < 0.5)
        if traced:
            tracemalloc.start()
        began = time.process_time()
        try:
            return do()
        finally:
            if traced:
                self.note(act, BYTES, tracemalloc.get_traced_memory()[1])
                tracemalloc.stop()
            else:
                self.note(act, SECONDS, time.process_time() - began)
            self.note(act, ROWS, self.read)

    def note(self, act: str, unit: str, figure: float) -> None:
        """Keep a figure of the day."""
        self.found[act, unit].append((self.day, float(figure)))

    def median(self, act: str, unit: str, days: range) -> float:
        """Of the figures of these days."""
        return float(np.median([each for day, each in self.found[act, unit] if day in days]))


class MeteredPredictions(StreamPredictions):
    """Counts the rows that it gives."""

    def __init__(self, meter: Meter, *given: Any) -> None:
        """As `StreamPredictions`."""
        super().__init__(*given)
        self._meter = meter

    def counts(self, since: np.datetime64 | None = None) -> BinCounts:
        """See `LabelledPredictions`."""
        found = super().counts(since)
        self._meter.read += len(found.hour)
        return found

    def labelled_after(self, moment: np.datetime64, most: int) -> StreamRows | None:
        """See `LabelledPredictions`."""
        found = super().labelled_after(moment, most)
        self._meter.read += len(found.rows) if found else 0
        return found

    def made_since(self, moment: np.datetime64) -> StreamRows:
        """See `LabelledPredictions`."""
        found = super().made_since(moment)
        self._meter.read += len(found.rows)
        return found


class MeteredTrainer(StreamTrainer):
    """Counts the rows that it takes."""

    def __init__(self, meter: Meter, *given: Any) -> None:
        """As `StreamTrainer`."""
        super().__init__(*given)
        object.__setattr__(self, "_meter", meter)

    @cached_property
    def labelled(self) -> StreamRows:
        """See `Trainer`."""
        known = np.flatnonzero(self.stream.known)[-self.stream.most_rows :]
        self._meter.read += len(known)  # type: ignore[attr-defined]
        return StreamRows(self.stream.rows.take(known), self.stream.models)


class MeteredLedger(MemoryLedger):
    """Counts the entries that the history of a night was folded from."""

    def __init__(self, meter: Meter) -> None:
        """As `MemoryLedger`; nobody knows the true gain."""
        super().__init__(lambda _: float("nan"))
        self._meter = meter

    def _since(self, moment: np.datetime64 | None) -> Entries:
        found = super()._since(moment)
        self._meter.read += sum(map(len, found))
        return found

    def forget(self) -> None:
        """A night begins in a process of its own."""
        self._history = None


class MeteredNight(Night):
    """A night whose decision and training are measured; a decision begins with the ledgers."""

    def __init__(self, meter: Meter, *given: Any) -> None:
        """As `Night`."""
        super().__init__(*given)
        self._meter = meter

    def _decide(self, refused: bool = False) -> Decision:
        if refused:
            return super()._decide(refused)
        decision: Decision = self._meter.measured(DECISION, super()._decide)
        return decision

    def _watch(self) -> None:
        super()._watch()
        self._ledger.forget()  # type: ignore[attr-defined]
        self._known = None

    def _answer(self, decision: Decision) -> bool:
        return bool(self._meter.measured(TRAINING, partial(super()._answer, decision)))


def run(family: str, days: int, meter: Meter) -> MeteredLedger:
    """Go through a stream night by night."""
    plant = family_stream(Shape(family, "moving", A_DAY, days), seed=1)
    settings, ledger = PolicySettings(), MeteredLedger(meter)
    stream, learner = Stream(plant.rows, MOST_ROWS), learner_for(plant.rows.problem)
    context = LoopContext(
        plant.rows.problem,
        settings,
        FIRST_AFTER,
        ledger,
        partial(MeteredPredictions, meter, stream, settings),
        lambda *_: MeteredTrainer(meter, stream, learner),
    )
    first = plant.rows.event_time[0].astype("datetime64[D]").astype("datetime64[us]")
    for meter.day in range(1, days + 1):
        night = first + meter.day * _US_A_DAY
        stream.score(night, ledger.history)
        if stream.take_in(night, ledger.history):
            MeteredNight(meter, night, context).run()
    return ledger


def of_tables(ledger: MemoryLedger, days: int, meter: Meter) -> None:
    """Write the ledgers to Delta tables, and read them on each day that counts."""
    first = ledger.decisions[0].as_of
    with tempfile.TemporaryDirectory() as root:
        kept = KeptLedgers(open_session(), root)
        kept.lakehouse.spark.sparkContext.setLogLevel("ERROR")
        for day in range(1, days + 1):
            night = first + (day - 1) * _US_A_DAY
            kept.write(ledger, [night])
            meter.day = day
            if day in range(WINDOW, 2 * WINDOW) or day > days - WINDOW:
                read = meter.measured(LEDGERS, partial(_read, kept, meter))
                oldest = min(entry.as_of for entry in read.decisions)
                meter.note(LEDGERS, FILES, _bytes_since(kept, oldest))


def _read(kept: KeptLedgers, meter: Meter) -> TableLedger:
    # A process of its own has not opened the tables.
    store = kept.lakehouse.store
    store._opened.forget(*map(store.path, store.catalog.tables))
    read = TableLedger(kept.lakehouse)
    meter.read = len(read.decisions) + len(read.versions.newest)
    assert read.history.champion is not None
    return read


def _bytes_since(kept: KeptLedgers, moment: np.datetime64) -> float:
    """The size of the files of both tables that hold rows as of a moment or later."""
    store, catalog = kept.lakehouse.store, kept.lakehouse.catalog
    since = pa.scalar(moment_of(moment), pa.timestamp("us", tz="UTC"))
    found = 0.0
    for table in (catalog.decision, catalog.promotion):
        files = store._files(table)
        is_read = pc.greater_equal(files["max.as_of"], since)
        found += pc.sum(files.filter(is_read)["size_bytes"]).as_py() or 0
    return found


def lines(family: str, days: int, meter: Meter, *acts: str) -> Iterable[str]:
    """A line of the table for each act and unit."""
    early, late = range(WINDOW, 2 * WINDOW), range(days - WINDOW + 1, days + 1)
    for act in acts:
        for unit in (SECONDS, FILES if act == LEDGERS else BYTES, ROWS):
            before, after = (meter.median(act, unit, each) for each in (early, late))
            figures = f"{before:,.4g} | {after:,.4g} | {after / before:.2f}"
            yield f"| {family} | {act} | {unit} | {figures} |"


def main(days: int, families: Iterable[str]) -> None:
    """Prints the figures."""
    print(
        "| stream | what | unit | days 50-100 | last 50 days | ratio |\n|---|---|---|---|---|---|"
    )
    for family in families:
        meter = Meter()
        ledger = run(family, days, meter)
        print("\n".join(lines(family, days, meter, DECISION, TRAINING)), flush=True)
        of_tables(ledger, days, meter)
        print("\n".join(lines(family, days, meter, LEDGERS)), flush=True)
        records = [entry.record for entry in ledger.promotions if entry.record]
        largest = max(len(record.to_json().encode()) for record in records)
        answered = sum(record.version.drift_period == record.version.as_of for record in records)
        regions = max(
            sum(len(segment.without) for segment in record.version.row_rule.segments)
            for record in records
        )
        print(
            f"\n{family}: {len(records)} trainings, {answered} on alarms; the largest record is "
            f"{largest:,} bytes, with {regions} regions at most; archived "
            f"{len(ledger.history.archive)}\n",
            flush=True,
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else DAYS, sys.argv[2:] or FAMILIES)
