"""What a challenger calls otherwise than the champion, in sentences, and who was refused."""

from markupsafe import Markup

from lakehouse.dashboard.markup import element
from lakehouse.dashboard.panels import Panel, nothing, stories
from lakehouse.dashboard.rows import ModelAnswers, Row
from lakehouse.dashboard.words import counted, moment

_NOT_COMPARED = "It was not compared with the version in production, or by a release before 0.3."


def otherwise(model: ModelAnswers, verdict: Row) -> list[str]:
    """How many rows a challenger calls otherwise, on whose side their labels are, and where.

    Args:
        model: whose verdict it is.
        verdict: `as_of`, `action` and `to_version` of it.
    """
    key = {name: verdict[name] for name in ("as_of", "action", "to_version")}
    rows = model.rows_where("differences", **key)
    return [_everywhere(row) if row["region"] is None else _in_region(row) for row in rows]


def refusals(model: ModelAnswers) -> Panel:
    """The challengers that did not take over, the newest first."""
    refused = [
        row for row in model.rows("moves") if row["action"] == "refuse" and row["to_version"]
    ]
    articles = [_refusal(model, row) for row in reversed(refused)]
    return Panel(
        "refusals",
        "What would a refused challenger have called otherwise?",
        "The newest first. It is compared with the version in production on labels new to both.",
        stories(articles) if articles else nothing("No challenger has been refused."),
        "differences",
    )


def _refusal(model: ModelAnswers, row: Row) -> Markup:
    return element(
        "article",
        element("h3", f"v{row['to_version']}", element("span", moment(row["as_of"]))),
        *(element("p", sentence) for sentence in otherwise(model, row) or [_NOT_COMPARED]),
        element(
            "details", element("summary", "The verdict in words"), element("p", row["reason"] or "")
        ),
        class_="story",
    )


def _everywhere(row: Row) -> str:
    rows, champion = counted(row["n_rows"], "row"), f"v{row['from_version']}"
    if not row["n_differ"]:
        return f"It calls none of {rows} otherwise than {champion}."
    return (
        f"Of {rows} it calls {row['n_differ']} otherwise than {champion}, most of them "
        f"{row['change']}: the labels are on its "
        f"side for {row['for_challenger']}, on the side of {champion} for {row['for_champion']}."
    )


def _in_region(row: Row) -> str:
    return (
        f"Where {row['region']}: {row['n_differ']} of {row['n_rows']}, most of them "
        f"{row['change']}; the labels are on its side for {row['for_challenger']}, against it for "
        f"{row['for_champion']}."
    )
