"""Provenance: why is a version in production, and what was it made from?"""

from collections.abc import Sequence

from markupsafe import Markup

from lakehouse.dashboard.lineage_drawing import drawing
from lakehouse.dashboard.markup import element, joined
from lakehouse.dashboard.panels import Panel, nothing
from lakehouse.dashboard.rows import ModelAnswers, Row
from lakehouse.dashboard.words import moment
from lakehouse.lineage.graph import Graph, Node, grouped
from lakehouse.lineage.promotions import provenance_graph
from lakehouse.lineage.story import facts_of, named
from lakehouse.versions.actions import MOVES

MOST_DRAWN = 8
"""Promotions that the page draws, the newest; `jobs/lineage.py` tells of all."""
_PANELS = {
    "file": ("lines", "operations"),
    "table": ("tables", "operations"),
    "run": ("trainings", "value"),
    "model": ("differences", "versions"),
    "windows": ("accuracy", "performance"),
    "decision": ("stories", "decisions"),
    "promotion": ("differences", "versions"),
}
"""The panel that has more of a kind, and its page."""


def provenance(model: ModelAnswers) -> list[Panel]:
    """The panels of the page: a choice of promotions, and of each one its graph and its nodes."""
    stretches = stretches_of(model.rows("provenance"))
    if not stretches:
        words = nothing("No version has been promoted yet.")
        return [Panel("promotions", "Why is this version in production?", "", words)]
    newest = list(reversed(stretches))[:MOST_DRAWN]
    panels = [_choice(newest, len(stretches))]
    for place, (row, refused) in enumerate(newest):
        panels.append(_graph(place, row, refused))
    return panels


def stretches_of(rows: Sequence[Row]) -> list[tuple[Row, list[Row]]]:
    """Each move of production, with the verdicts since the one before that let none take over."""
    stretches: list[tuple[Row, list[Row]]] = []
    waiting: list[Row] = []
    for row in rows:
        if row["action"] in MOVES:
            stretches.append((row, waiting))
            waiting = []
        else:
            waiting.append(row)
    return stretches


def title_of(row: Row) -> str:
    """How a promotion is chosen by: version and day."""
    back = " back" if row["action"] == "rollback" else ""
    return f"v{row['to_version']}{back}, {moment(row['as_of'])}"


def _choice(newest: Sequence[tuple[Row, list[Row]]], total: int) -> Panel:
    links = (
        element("li", element("a", title_of(row), href=f"#column={title_of(row)}", class_="column"))
        for row, _ in newest
    )
    older = (
        f" The newest {len(newest)} of {total}; jobs/lineage.py tells of the others."
        if total > len(newest)
        else ""
    )
    return Panel(
        "promotions",
        "Why is this version in production?",
        f"Choose a promotion: what it was made from stands left of it.{older}",
        element("ul", *links, class_="choice"),
        "provenance",
        (
            *("promotion_id", "action", "to_version", "decision_id", "run_id", "model_sha256"),
            *("readings_id", "labels_id", "files", "first_file", "last_file", "reason"),
        ),
    )


def _graph(place: int, row: Row, refused: Sequence[Row]) -> Panel:
    graph = grouped(provenance_graph(row, refused))
    keys = {node.id: f"node-{place}-{number}" for number, node in enumerate(graph.nodes)}
    links = {node: f"#panel={key}" for node, key in keys.items()}
    from_right = [node for column in reversed(graph.ranked) for node in column]
    order = sorted(from_right, key=lambda node: node.faint)
    cards = (_card(node, graph, keys[node.id]) for node in order)
    state = "in production" if row["is_champion"] else row["action"]
    body = joined(
        element("div", drawing(graph, links), class_="scroll", tabindex="0"),
        element("div", *cards, class_="nodes"),
    )
    return Panel(
        f"graph-{place}",
        f"Where does v{row['to_version']} of {moment(row['as_of'])} come from?",
        f"{state.capitalize()}. Refused challengers are faint. Each box leads to its query below.",
        body,
        column=title_of(row),
    )


def _card(node: Node, graph: Graph, key: str) -> Markup:
    """A node in words, with a link to its panel and a query that shows it."""
    panel, page = _PANELS[node.kind]
    more = element("a", page, href=f"#page={page}&panel={panel}")
    return element(
        "article",
        element("h3", named(node)),
        element("p", facts_of(node) + (" · " if node.facts else ""), more),
        element("p", node.why, class_="why") if node.why else None,
        element(
            "div",
            element("button", "Copy", type="button", class_="copy"),
            element("pre", element("code", node.sql)),
            class_="query",
        ),
        class_="card-node faint" if node.faint else "card-node",
        id=key,
        tabindex="-1",
    )
