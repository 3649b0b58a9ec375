"""A lakehouse with every kind of column, and its rows as pandas knows them."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pandas as pd

from lakehouse.explore.subject import Column, Subject
from tests.explore.lakehouses import FIRST, labelled, subject, times, write
from tests.support.opened import MEMORY

EVIL = "<script>document.title = 'broken in'</script>"
COLUMNS = (
    Column("heat", "double", (), -2.0, 2.0),
    Column("panels", "integer"),
    Column("line_name", "string"),
    Column("is_hot", "boolean"),
    Column(f'a "b".{EVIL}', "double"),
)
GRADE = Column("grade", "string", ("good", EVIL, "über"))
COST = Column("cost", "double", (), 0.0)
N = 3000


@dataclass(frozen=True)
class Works:
    """A lakehouse, and all its rows with their labels.

    Attributes:
        root: of the lakehouse.
        subject: of its tables.
        rows: as silver has them, with the label in force (or none) and when it came.
    """

    root: Path
    subject: Subject
    rows: pd.DataFrame


def readings(n: int = N) -> pd.DataFrame:
    """Rows with every kind of column; some values are missing, not finite or out of bounds."""
    rng = np.random.default_rng(7)
    heat = rng.normal(size=n)
    heat[rng.random(n) < 0.05] = 0.0
    values = [None if lost < 0.04 else x for x, lost in zip(heat, rng.random(n), strict=True)]
    values[5], values[6], values[7] = float("nan"), float("inf"), -float("inf")
    lines = [*rng.choice(["north", "süd", "o'brien", EVIL], n - 2), None, None]
    return pd.DataFrame(
        {
            "id": np.arange(n),
            "at": times(n).dt.floor("us"),
            "heat": pd.Series(values, dtype=object),
            "panels": rng.integers(1, 7, n),
            "line_name": lines,
            "is_hot": rng.random(n) < 0.3,
            COLUMNS[4].name: rng.uniform(0, 10, n),
        }
    )


@cache
def graded() -> Works:
    """Rows with three classes, of which a twentieth has no label; some labels were corrected."""
    rows = readings()
    wide = rows[COLUMNS[4].name]
    grade = np.where((wide > 3) & (wide < 6), "good", np.where(rows.panels > 4, EVIL, "über"))
    labels = labelled(rows, "grade", grade)
    labels = labels[labels.id % 20 != 7]
    rejected = [
        {"source": "reading", "raw": "{", "reasons": [reason], "landed_at": FIRST}
        for reason in ["malformed JSON", EVIL, EVIL]
    ]
    return _made(subject(COLUMNS, GRADE), rows, labels, rejected)


@cache
def priced() -> Works:
    """Rows with a number to predict."""
    rows = readings()
    cost = 100.0 * rows.panels + 50 * rows.is_hot + np.random.default_rng(1).normal(0, 20, N)
    return _made(subject(COLUMNS, COST), rows, labelled(rows, "cost", cost), [])


def _made(about: Subject, rows: pd.DataFrame, labels: pd.DataFrame, rejected: list[dict]) -> Works:
    root = write(Path(mkdtemp(prefix="explore-", dir=MEMORY)), about, rows, labels, rejected)
    name = about.label.name
    joined = rows.merge(labels[["id", "told", name]], on="id", how="left")
    joined[name] = joined[name].where(joined[name].notna(), None)
    return Works(root, about, joined)
