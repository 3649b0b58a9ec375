"""A graph of lineage as SVG: a column for each rank, curves between them. Pure."""

from collections.abc import Mapping

from markupsafe import Markup

from lakehouse.dashboard.markup import element, joined, short
from lakehouse.lineage.graph import Graph, Node, grouped
from lakehouse.lineage.story import facts_of, named

_WIDTH, _HEIGHT, _ACROSS, _DOWN, _MARGIN = 184, 56, 46, 16, 8
_LETTERS, _LETTERS_OF_RUN = 24, 16
_LOOKS = """
text { font: 12px system-ui, sans-serif; fill: #1d2430; } .fact { fill: #616b7a; font-size: 11px; }
rect { fill: #f5f6f8; stroke: #8b93a1; } .of rect { stroke: #0072b2; stroke-width: 2; }
path { fill: none; stroke: #8b93a1; } .faint { opacity: 0.45; }
"""


def as_svg(graph: Graph) -> list[str]:
    """A file of its own: many nodes of a kind are one."""
    return [str(drawing(grouped(graph), style=element("style", Markup(_LOOKS))))]


def drawing(
    graph: Graph, links: Mapping[str, str] | None = None, style: Markup | None = None
) -> Markup:
    """The graph from left to right.

    Args:
        graph: with as many nodes as are to be drawn.
        links: where a node leads to, by its id.
        style: of a drawing that stands in no page.
    """
    columns = graph.ranked
    tallest = max(len(column) for column in columns)
    width = len(columns) * (_WIDTH + _ACROSS) - _ACROSS + 2 * _MARGIN
    height = tallest * (_HEIGHT + _DOWN) - _DOWN + 2 * _MARGIN
    corners = _corners(columns, height)
    faint = {node.id for node in graph.nodes if node.faint}
    curves = (
        element(
            "path",
            element("title", edge.relation),
            d=_curve(corners[edge.source], corners[edge.target]),
            class_="faint" if {edge.source, edge.target} & faint else None,
        )
        for edge in graph.edges
    )
    boxes = (_box(node, corners[node.id], graph.of, links or {}) for node in graph.nodes)
    return element(
        "svg",
        style,
        element("g", *curves, class_="curves"),
        *boxes,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        class_="lineage",
        role="group",
        aria_label=f"What {graph.of} was made from, from left to right",
    )


def _corners(columns: list[list[Node]], height: int) -> dict[str, tuple[float, float]]:
    """The upper left corner of each node; a column stands in the middle."""
    found = {}
    for place, column in enumerate(columns):
        own = len(column) * (_HEIGHT + _DOWN) - _DOWN
        top = (height - own) / 2
        for row, node in enumerate(column):
            x = _MARGIN + place * (_WIDTH + _ACROSS)
            found[node.id] = (float(x), top + row * (_HEIGHT + _DOWN))
    return found


def _curve(source: tuple[float, float], target: tuple[float, float]) -> str:
    x1, y1 = source[0] + _WIDTH, source[1] + _HEIGHT / 2
    x2, y2 = target[0], target[1] + _HEIGHT / 2
    bend = max(_ACROSS, abs(x2 - x1) / 2)
    points = (x1, y1, x1 + bend, y1, x2 - bend, y2, x2, y2)
    a, b, c, d, e, f, g, h = map(short, points)
    return f"M{a} {b}C{c} {d} {e} {f} {g} {h}"


def _box(node: Node, corner: tuple[float, float], of: str, links: Mapping[str, str]) -> Markup:
    x, y = corner
    facts = facts_of(node).split(", ") if node.facts else []
    words = [
        element("text", shortened(_head(node)), x=short(x + 9), y=short(y + 18)),
        *(
            element(
                "text", shortened(fact), x=short(x + 9), y=short(y + 33 + 14 * row), class_="fact"
            )
            for row, fact in enumerate(_in_two(node, facts))
        ),
    ]
    looks = " ".join(
        look
        for look, holds in (("node", True), ("of", node.id == of), ("faint", node.faint))
        if holds
    )
    inside = joined(
        element("title", f"{named(node)}{': ' if facts else ''}{facts_of(node)}"),
        element("rect", x=short(x), y=short(y), width=_WIDTH, height=_HEIGHT, rx=5),
        *words,
    )
    if node.id in links:
        label = f"{named(node)}, {facts_of(node)}" if facts else named(node)
        return element("a", inside, href=links[node.id], class_=looks, aria_label=label)
    return element("g", inside, class_=looks)


def _head(node: Node) -> str:
    if node.kind == "windows":
        return node.id.rsplit("/", maxsplit=1)[0]
    return node.id[:_LETTERS_OF_RUN] + "…" if node.kind == "run" else node.id


def _in_two(node: Node, facts: list[str]) -> list[str]:
    """Two lines: how many it stands for, then its figures."""
    told = [f"{node.count} of them", *facts] if node.count > 1 else facts
    return [told[0], ", ".join(told[1:])] if len(told) > 1 else told


def shortened(text: str, most: int = _LETTERS) -> str:
    """A text that fits a box: its middle is left out.

    >>> shortened("windows/1 day/2019-08-03..2019-08-12", 20)
    'windows/1 …019-08-12'
    """
    if len(text) <= most:
        return text
    tail = most * 9 // 20
    return f"{text[: most - tail - 1]}…{text[-tail:]}" if tail else text[:most]
