"""The rows that the page is drawn from."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
    _indices: dict[tuple[str, ...], Mapping[tuple[Any, ...], list[Row]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def rows(self, query: str) -> tuple[Row, ...]:
        """The rows of a query."""
        return self.answers[query].rows

    def rows_where(self, query: str, **values: Any) -> Sequence[Row]:
        """The rows of a query that have these values, found by an index that is made once."""
        names = (query, *values)
        if names not in self._indices:
            index: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
            for row in self.rows(query):
                index[tuple(row[name] for name in values)].append(row)
            self._indices[names] = dict(index)
        return self._indices[names].get(tuple(values.values()), ())
