"""The account of lines: each that came in is in exactly one place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

SILVER, QUARANTINED, DUPLICATE = "silver", "quarantined", "duplicate"
_LINE = ["source_file", "landed_file_id", "line"]
_MOST_NAMES = 10


@dataclass(frozen=True)
class Account:
    """What became of the lines of one source.

    Attributes:
        source: name of the source's tables.
        lines: lines in bronze.
        places: how many of them are in each place.
        unaccounted: lines that are nowhere.
        in_two_places: lines that are in more than one.
        followed: of the rows in silver, how many were scored or joined, and how many wait.
    """

    source: str
    lines: int
    places: dict[str, int]
    unaccounted: int
    in_two_places: int
    followed: dict[str, int]

    @property
    def balances(self) -> bool:
        """Whether each line is in exactly one place."""
        return not self.unaccounted and not self.in_two_places

    def __str__(self) -> str:
        parts = [f"{count} {place}" for place, count in {**self.places, **self.followed}.items()]
        odd = f"; {self.unaccounted} unaccounted for, {self.in_two_places} in two places"
        wrong = "" if self.balances else odd
        return (
            f"{self.source}: {self.lines} lines = {' + '.join(parts[:3])} (silver: "
            f"{', '.join(parts[3:])}){wrong}"
        )


@dataclass(frozen=True)
class FileAccount:
    """What became of the files of one source.

    Attributes:
        source: name of the source's tables.
        read: files whose lines are in bronze, all of them.
        waiting: names of files that are on record, and whose lines are not all in bronze.
        unreadable: why each other file cannot be read, by its name.
        odd: what is odd about files that were read, by name.
        left_alone: names of what lies in the folder and is no file of lines.
    """

    source: str
    read: int
    waiting: Sequence[str]
    unreadable: Mapping[str, str]
    odd: Mapping[str, str]
    left_alone: Sequence[str]

    def __str__(self) -> str:
        total = self.read + len(self.waiting) + len(self.unreadable)
        counts = (
            f"{self.read} read + {len(self.waiting)} waiting + {len(self.unreadable)} unreadable"
        )
        unreadable = [f"{name}: {reason}" for name, reason in self.unreadable.items()]
        odd = [f"{name}: {reason}" for name, reason in self.odd.items()]
        lines = [
            f"{self.source}: {total} files = {counts}; {len(self.left_alone)} left alone",
            *_named("waiting", self.waiting),
            *_named("unreadable", unreadable),
            *_named("read, and odd", odd),
            *_named("left alone", self.left_alone),
        ]
        return "\n".join(lines)


def _named(what: str, names: Sequence[str]) -> list[str]:
    """A line for each of the first names, and one for the number of the others."""
    shown = [f"  {what}: {name}" for name in names[:_MOST_NAMES]]
    return (
        [*shown, f"  {what}: {len(names) - len(shown)} more"] if len(names) > len(shown) else shown
    )


def whereabouts(bronze: DataFrame, places: Sequence[tuple[str, DataFrame]]) -> DataFrame:
    """Count lines by set of places: `places` (sorted names; none for a lost line) and `lines`.

    Args:
        bronze: the lines; one that was read twice (from a new checkpoint) counts once.
        places: name and rows of each place that a line can be in.
    """
    lines_in_places = reduce(
        DataFrame.unionByName,
        [_lines(rows).withColumn("place", F.lit(name)) for name, rows in places],
    )
    by_line = lines_in_places.groupBy(*_LINE).agg(
        F.sort_array(F.collect_list("place")).alias("places")
    )
    joined = _lines(bronze).distinct().join(by_line, _LINE, "left")
    return joined.groupBy("places").agg(F.count("*").alias("lines"))


def _lines(rows: DataFrame) -> DataFrame:
    """Return which line each row is of; a release without a table of files numbered none."""
    numbered = F.coalesce("landed_file_id", F.lit(0)).alias("landed_file_id")
    return rows.select("source_file", numbered, "line")
