"""What is known of a micro-batch when it has ended: Spark's progress, and what the work counted."""

import datetime as dt
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_WORK = "addBatch"
_TOTAL = "triggerExecution"
_DELTA = "DeltaSource["


@dataclass(frozen=True)
class SourceSpan:
    """The versions of a Delta table that a micro-batch read.

    Attributes:
        path: of the table.
        first: the first version read; None where the stream began here.
        end: the first version that was not read.
    """

    path: str
    first: int | None
    end: int


@dataclass(frozen=True)
class Memory:
    """Bytes that the driver's two processes have: Spark's JVM and Python."""

    heap_used: int
    heap_max: int
    python_peak: int


@dataclass
class Attempt:
    """The work on a micro-batch, as the driver saw it.

    Attributes:
        counts: what the work counted, by the columns of gold.batch_metrics.
    """

    began_at: dt.datetime
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    memory: Memory | None = None
    error: BaseException | None = None


@dataclass(frozen=True)
class BatchReport:
    """A micro-batch that ended, well or not.

    Attributes:
        query: name of the stream, or of a step without one.
        query_id: the stream's id; None of a step.
        number: of the micro-batch.
        seconds: wall-clock time of all of it.
        phases: seconds by phase.
        attempt: the work itself.
        sources: what was read; empty where the batch failed or is a step's.
    """

    query: str
    query_id: str | None
    number: int
    began_at: dt.datetime
    seconds: float
    phases: Mapping[str, float]
    attempt: Attempt
    sources: tuple[SourceSpan, ...] = ()


def unfinished(query: str, query_id: str | None, number: int, attempt: Attempt) -> BatchReport:
    """A batch that Spark tells nothing of: it failed, or is a step without a stream."""
    phases = {_WORK: attempt.seconds}
    return BatchReport(query, query_id, number, attempt.began_at, attempt.seconds, phases, attempt)


def finished(progress: Mapping[str, Any], attempt: Attempt) -> BatchReport:
    """A batch that Spark has committed, by the JSON of its progress."""
    durations = {name: each / 1000 for name, each in progress["durationMs"].items()}
    total = durations.pop(_TOTAL)
    return BatchReport(
        progress["name"],
        progress["id"],
        progress["batchId"],
        dt.datetime.fromisoformat(progress["timestamp"]),
        total,
        durations,
        attempt,
        tuple(_span(source) for source in progress["sources"] if _is_delta(source)),
    )


def did_work(progress: Mapping[str, Any]) -> bool:
    """Whether it tells of a batch: while a stream waits, Spark tells of that, too."""
    return _WORK in progress["durationMs"]


def _is_delta(source: Mapping[str, Any]) -> bool:
    return str(source["description"]).startswith(_DELTA)


def _span(source: Mapping[str, Any]) -> SourceSpan:
    path = source["description"].removeprefix(_DELTA).removesuffix("]")
    start, end = (_offset(source[name]) for name in ("startOffset", "endOffset"))
    first = None if start is None else start["reservoirVersion"]
    return SourceSpan(path.removeprefix("file:"), first, 0 if end is None else _end_of(end))


def _offset(given: Any) -> Any:
    """An offset as a dictionary: Spark writes it as JSON, or as text that holds JSON."""
    return json.loads(given) if isinstance(given, str) else given


def _end_of(offset: Mapping[str, Any]) -> int:
    """The first version not read: an index below 0 stands before a version's first file."""
    version: int = offset["reservoirVersion"]
    return version if offset["index"] < 0 else version + 1
