"""The rows that the page is drawn from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lakehouse.storage.table_state import TableState

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """A query with its rows, in the query's order."""

    sql: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class ModelAnswers:
    """All that the page knows of one lakehouse.

    Attributes:
        name: of the model.
        answers: by the name of the query.
        tables: the state of each table, in the order of the way of the data.
    """

    name: str
    answers: Mapping[str, Answer]
    tables: tuple[TableState, ...]

    def rows(self, query: str) -> tuple[Row, ...]:
        """The rows of a query."""
        return self.answers[query].rows
