"""The account of lines: each that came in is in exactly one place."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

SILVER, QUARANTINED, DUPLICATE = "silver", "quarantined", "duplicate"
_LINE = ["source_file", "line"]


@dataclass(frozen=True)
class Account:
    """What became of the lines of one source.

    Attributes:
        source: name of the source's tables.
        lines: lines in bronze.
        places: how many of them are in each place.
        unaccounted: lines that are nowhere.
        in_two_places: lines that are in more than one.
        followed: of the rows in silver, how many went on (readings: scored; labels: joined), and how many wait.
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
        wrong = f"; {self.unaccounted} unaccounted for, {self.in_two_places} in two places" if not self.balances else ""
        return f"{self.source}: {self.lines} lines = {' + '.join(parts[:3])} (silver: {', '.join(parts[3:])}){wrong}"


def whereabouts(bronze: DataFrame, places: Sequence[tuple[str, DataFrame]]) -> DataFrame:
    """How many lines are in each set of places: `places` (sorted names; none for a lost line) and `lines`.

    Args:
        bronze: the lines; one that was read twice (from a new checkpoint) counts once.
        places: name and rows of each place that a line can be in.
    """
    found = reduce(DataFrame.unionByName, [rows.select(*_LINE, F.lit(name).alias("place")) for name, rows in places])
    by_line = found.groupBy(*_LINE).agg(F.sort_array(F.collect_set("place")).alias("places"))
    joined = bronze.select(*_LINE).distinct().join(by_line, _LINE, "left")
    return joined.groupBy("places").agg(F.count("*").alias("lines"))
