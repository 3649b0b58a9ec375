"""The queries of docs/sql.md with their answers. `python -m tools.sql_doc` asks anew and writes the
answers there.
"""

import datetime as dt
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

DOCUMENT = Path("docs/sql.md")
_QUERY = re.compile(r"```sql\n(.*?)```\n\n```text\n(.*?)```\n", re.DOTALL)
_PYTHON = re.compile(r"```python\n(.*?)```\n", re.DOTALL)


def queries(document: str) -> list[tuple[str, str]]:
    """Each query with the answer that is shown below it."""
    return _QUERY.findall(document)


def programs(document: str) -> list[str]:
    """The Python programs."""
    return _PYTHON.findall(document)


def shown(rows: Sequence[dict[str, Any]]) -> str:
    """An answer as the document shows it: columns in line, NULL for what is missing."""
    if not rows:
        return "(no rows)\n"
    table = [list(rows[0]), *([_text(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[place]) for line in table) for place in range(len(table[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:], ""])


def _text(value: Any) -> str:
    if isinstance(value, dt.datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    if isinstance(value, bool):
        return str(value).lower()
    return "NULL" if value is None else str(value)


def main() -> None:
    """Ask Spark each query of the document on the small plant, and writes the answers below
    them.
    """
    from lakehouse.storage.session import open_session
    from tests.support.engines import known_to_spark, spark_rows
    from tests.support.rows import works_after_three_nights

    spark = open_session()
    with known_to_spark(spark, works_after_three_nights(spark).store.root):
        text = DOCUMENT.read_text(encoding="utf-8")
        answered = _QUERY.sub(
            lambda found: (
                f"```sql\n{found[1]}```\n\n```text\n{shown(spark_rows(spark, found[1]))}```\n"
            ),
            text,
        )
    DOCUMENT.write_text(answered, encoding="utf-8")


if __name__ == "__main__":
    main()
