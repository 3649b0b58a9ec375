"""What a lakehouse says of itself: its tables, its views, and the names that its model chose.

It is read from the statements that the lakehouse keeps for DuckDB, so no settings are needed.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from lakehouse.sql.catalogue import no_lakehouse, statements_of

_TABLE = re.compile(r"CREATE OR REPLACE VIEW (\w+\.\w+) AS SELECT \* FROM delta_scan\(")
_VIEW = re.compile(r"CREATE OR REPLACE VIEW \w+\.\w+ AS\s")
_MODEL_ID = re.compile(r'COMMENT ON COLUMN gold\.daily_quality\."(\w+)"')
_DAY = re.compile(r"\"granularity\" = '([^']+)'")


@dataclass(frozen=True)
class Names:
    """The names of one lakehouse.

    Attributes:
        model: the model's.
        tables: `layer.table`, in the order of the way of the data.
        views: DuckDB's statements that create them.
        model_id: the column of metric tables that holds the version.
        day: the granularity of a day.
    """

    model: str
    tables: list[str]
    views: list[str]
    model_id: str
    day: str


def names_in(root: Path) -> Names:
    """The names of the lakehouse in a folder.

    Raises:
        ConfigurationError: there is no lakehouse in that folder.
    """
    try:
        text = (root / "_system" / "tables.duckdb.sql").read_text(encoding="utf-8")
        model = (root / "_system" / "model").read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise no_lakehouse(root) from None
    statements = statements_of(text)
    return Names(
        model,
        [found[1] for statement in statements if (found := _TABLE.match(statement))],
        [each for each in statements if _VIEW.match(each) and not _TABLE.match(each)],
        _MODEL_ID.findall(text)[1],
        _DAY.findall(text)[0],
    )
