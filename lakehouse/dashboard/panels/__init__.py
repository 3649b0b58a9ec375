"""The pages of a model: what each panel asks, draws and has as rows. All of it is pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from lakehouse.dashboard.markup import element, joined
from lakehouse.dashboard.rows import ModelAnswers
from lakehouse.dashboard.words import counted

_OPEN_STORIES = 8


@dataclass(frozen=True)
class Panel:
    """One question with its answer.

    Attributes:
        key: unique on the page; a link's end.
        question: its title.
        note: one line on what is shown.
        body: the drawing, or words.
        query: the name of the query whose rows are its table; None for words alone.
        columns: of its table; all of the query's where none is named.
        where: `column=value`, if only rows of that value are shown.
        wide: whether it takes the whole width.
        column: the column it is of, if it is shown only while that one is chosen.
    """

    key: str
    question: str
    note: str
    body: Markup
    query: str | None = None
    columns: Sequence[str] = ()
    where: str | None = None
    wide: bool = True
    column: str | None = None


def as_markup(panel: Panel, model: ModelAnswers) -> Markup:
    """A panel with its table, filled when it is opened, and its query."""
    return element(
        "section",
        element(
            "h2", element("a", panel.question, href=f"#panel={panel.key}"), id=f"{panel.key}-title"
        ),
        element("p", panel.note, class_="note") if panel.note else None,
        panel.body,
        _below(panel, model),
        class_="panel wide" if panel.wide else "panel",
        id=panel.key,
        data_column=panel.column,
        aria_labelledby=f"{panel.key}-title",
    )


def nothing(words: str) -> Markup:
    """What stands in place of a drawing that has no rows."""
    return element("p", words, class_="nothing")


def stories(articles: Sequence[Markup]) -> Markup:
    """Articles side by side, the newest first; those beyond the eighth wait to be opened."""
    newest = element("div", *articles[:_OPEN_STORIES], class_="stories")
    older = articles[_OPEN_STORIES:]
    if not older:
        return newest
    words = counted(len(older), "older one")
    rest = element("div", *older, class_="stories")
    return joined(newest, element("details", element("summary", words), rest, class_="older"))


def to_copy(sql: str) -> Markup:
    """A query, shown when it is opened, with a button that copies it."""
    return element(
        "details",
        element("summary", "SQL"),
        element("button", "Copy", type="button", class_="copy"),
        element("pre", element("code", sql)),
        class_="sql",
    )


def _below(panel: Panel, model: ModelAnswers) -> Markup | None:
    if panel.query is None:
        return None
    answer = model.answers[panel.query]
    return element(
        "div",
        element(
            "details",
            element("summary", "Table"),
            class_="rows",
            data_table=panel.query,
            data_show=",".join(panel.columns or answer.columns),
            data_where=panel.where,
        ),
        to_copy(answer.sql),
        class_="below",
    )
