"""What a page is drawn from: the answers of one lakehouse."""

from collections.abc import Sequence
from dataclasses import dataclass

from lakehouse.dashboard.rows import ModelAnswers, Row
from lakehouse.explore.bins import Bins
from lakehouse.explore.queries import Plan
from lakehouse.explore.subject import Column, Subject

PAIRED = 12
"""Columns at most whose pairs are shown."""


@dataclass(frozen=True)
class Findings:
    """The answers, and what they were asked of.

    Attributes:
        plan: of the queries.
        model: the answers by name; those of a column end in its place among all columns.
        paired: columns whose pairs are shown, the most telling first.
        focus: code of the class whose share is told; None where a number is told of.
    """

    plan: Plan
    model: ModelAnswers
    paired: tuple[Column, ...] = ()
    focus: int | None = None

    @property
    def subject(self) -> Subject:
        """What is explored."""
        return self.plan.subject

    @property
    def by(self) -> Bins:
        """The bins of the column that the others are looked at by."""
        return self.bins(self.subject.by)

    @property
    def classes(self) -> list[str]:
        """The classes of `by`, by their codes; `other` is the last one."""
        return self.by.words[:-1]

    @property
    def focus_words(self) -> str:
        """The class whose share is told."""
        assert self.focus is not None
        return self.classes[self.focus]

    @property
    def is_compared(self) -> bool:
        """Whether two spans are compared."""
        return len(self.plan.spans) == 2

    @property
    def spans(self) -> list[str]:
        """The spans' names."""
        return [str(span) for span in self.plan.spans]

    def bins(self, column: Column) -> Bins:
        """The bins of a column."""
        return self.plan.of(column.name)

    def place(self, column: Column) -> int:
        """The place of a column among all of them."""
        return self.subject.all_columns.index(column)

    def has(self, query: str) -> bool:
        """Whether the query was asked, and has rows."""
        return query in self.model.answers and bool(self.model.rows(query))

    def rows(self, query: str, span: int | None = None) -> Sequence[Row]:
        """The rows of a query; of one span alone, if its place is given."""
        if query not in self.model.answers:
            return ()
        rows = self.model.rows(query)
        return rows if span is None else [row for row in rows if row["span"] == self.spans[span]]

    @property
    def ordered(self) -> list[Column]:
        """The columns, those that tell most of `by` first."""
        told = {row["column_name"]: -(row["cramers_v"] or 0) for row in self.rows("told", 0)}
        return sorted(self.subject.columns, key=lambda column: told.get(column.name, 0.0))
