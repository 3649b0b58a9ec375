"""The graph of what something was made from: nodes by rank, like ones grouped into ranges. Pure."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

RANKS: Mapping[str, int] = {
    "file": 0,
    "bronze": 1,
    "silver": 2,
    "table": 3,
    "run": 4,
    "model": 5,
    "scored": 6,
    "prediction": 7,
    "window": 8,
    "windows": 8,
    "decision": 9,
    "promotion": 10,
    "alert": 11,
}
"""What comes after what, from left to right."""
_ALONE = {"model": 6, "run": 6, "promotion": 6, "decision": 6}
_MOST_ALONE = 2
"""Nodes of a group that are shown one by one; more of them become a range."""


@dataclass(frozen=True)
class Node:
    """Something that was made, or several of a kind.

    Attributes:
        kind: as in gold.lineage, or `prediction`.
        id: which one; of several, `first … last`.
        count: how many it stands for.
        facts: figures with their names, in the order to show them.
        sql: a query that shows it.
        why: a sentence on record.
        faint: whether it led to nothing.
    """

    kind: str
    id: str
    count: int = 1
    facts: Mapping[str, str] = field(default_factory=dict)
    sql: str = ""
    why: str = ""
    faint: bool = False

    @property
    def group(self) -> str:
        """What it may be grouped with: its table, of a file its folder, else its kind."""
        if self.kind == "file":
            return self.facts.get("source_file", "").split(" … ")[0].rpartition("/")[0]
        return re.split("[@#]", self.id)[0] if self.kind in ("table", "commit") else self.kind

    @property
    def rank(self) -> int:
        """Its place from left to right."""
        if self.kind != "commit":
            return RANKS[self.kind]
        if self.id.startswith("bronze."):
            return RANKS["bronze"]
        return RANKS["scored"] if "model" in self.facts else RANKS["silver"]


@dataclass(frozen=True)
class Edge:
    """That one thing was made from another."""

    source: str
    target: str
    relation: str


@dataclass(frozen=True)
class Graph:
    """Nodes, by rank and id, and the edges between them.

    Attributes:
        of: the node that is asked for.
    """

    of: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def node(self, node: str) -> Node:
        """The node of that id."""
        return next(each for each in self.nodes if each.id == node)

    def into(self, node: str) -> list[Edge]:
        """What a node was made from."""
        return [edge for edge in self.edges if edge.target == node]

    @property
    def ranked(self) -> list[list[Node]]:
        """The nodes from left to right: each one right of all that it was made from.

        What was made from nothing on record stands next to what was made from it; files come first.
        What led to nothing stands below its like.
        """
        sources, targets = defaultdict(list), defaultdict(list)
        for edge in self.edges:
            sources[edge.target].append(edge.source)
            targets[edge.source].append(edge.target)
        place: dict[str, int] = {}
        for node in self.nodes:
            _place(node.id, sources, place)
        for node in self.nodes:
            if node.kind != "file" and not sources[node.id] and targets[node.id]:
                place[node.id] = min(place[target] for target in targets[node.id]) - 1
        for node in self.nodes:
            if node.faint:  # beside what did lead to something
                like = [place[each.id] for each in self.nodes if each.kind == node.kind]
                place[node.id] = max(like)
        by_place: dict[int, list[Node]] = defaultdict(list)
        for node in self.nodes:
            by_place[place[node.id]].append(node)
        return [sorted(by_place[each], key=lambda node: node.faint) for each in sorted(by_place)]


def graph_of(of: str, nodes: Iterable[Node], edges: Iterable[Edge]) -> Graph:
    """A graph in order: the same nodes and edges give the same one."""
    ordered = sorted(set_of(nodes), key=lambda node: (node.rank, natural(node.id)))
    return Graph(of, tuple(ordered), tuple(sorted(set(edges), key=_edge_key)))


def set_of(nodes: Iterable[Node]) -> list[Node]:
    """Each node once."""
    return list({node.id: node for node in nodes}.values())


def grouped(graph: Graph) -> Graph:
    """The graph with ranges in place of many nodes of one table or kind."""
    groups: dict[tuple[int, str], list[Node]] = defaultdict(list)
    for node in graph.nodes:
        name = node.id if node.id == graph.of else node.group
        groups[node.rank, name].append(node)
    names: dict[str, str] = {}
    nodes: list[Node] = []
    for members in groups.values():
        most = _ALONE.get(members[0].kind, _MOST_ALONE)
        shown = members if len(members) <= most else [range_of(members)]
        nodes += shown
        names |= {node.id: node.id if len(members) <= most else shown[0].id for node in members}
    edges = (replace(e, source=names[e.source], target=names[e.target]) for e in graph.edges)
    return graph_of(graph.of, nodes, (edge for edge in edges if edge.source != edge.target))


def natural(text: str) -> tuple[tuple[int, int | str], ...]:
    """A key that sorts numbers within text as numbers.

    >>> sorted(["file/10", "file/9"], key=natural)
    ['file/9', 'file/10']
    """
    parts = re.split(r"(\d+)", text)
    return tuple((0, int(part)) if part.isdigit() else (1, part) for part in parts)


def range_of(members: Sequence[Node]) -> Node:
    """One node for many: from the first to the last, their rows summed."""
    first, last = members[0], members[-1]
    rows = [int(node.facts["rows"].replace(",", "")) for node in members if "rows" in node.facts]
    facts = {"rows": f"{sum(rows):,}"} if rows else {}
    if "model" in first.facts:
        versions = dict.fromkeys(node.facts.get("model", "") for node in members)
        facts["model"] = ", ".join(versions)
    for name in ("source_file", "at"):
        values = [node.facts[name] for node in members if name in node.facts]
        if values:
            facts[name] = _from_to(values[0], values[-1])
    return Node(
        first.kind,
        _from_to(first.id, last.id),
        sum(node.count for node in members),
        facts,
        last.sql,
        faint=all(node.faint for node in members),
    )


def _from_to(first: str, last: str) -> str:
    """From the beginning of one range to the end of another.

    >>> _from_to("file/1 … file/9", "file/10")
    'file/1 … file/10'
    """
    return f"{first.split(' … ', maxsplit=1)[0]} … {last.rsplit(' … ', maxsplit=1)[-1]}"


def _place(node: str, sources: Mapping[str, Sequence[str]], place: dict[str, int]) -> int:
    """The length of the longest way to a node; `place` has those that are known."""
    if node not in place:
        place[node] = 0  # of a circle, which there is none of, its first node
        ways = [_place(source, sources, place) for source in sources[node]]
        place[node] = 1 + max(ways, default=-1)
    return place[node]


def _edge_key(edge: Edge) -> tuple[object, ...]:
    return natural(edge.target), natural(edge.source), edge.relation
