"""A graph of lineage as text: from what is asked for back to the files, rank by rank. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from lakehouse.lineage.graph import Graph, Node, grouped, range_of

_NAMES: Mapping[str, tuple[str, str]] = {
    "file": ("landed file", "landed files"),
    "commit": ("commit", "commits"),
    "table": ("table version", "table versions"),
    "run": ("training run", "training runs"),
    "model": ("model version", "model versions"),
    "prediction": ("prediction", "predictions"),
    "window": ("window", "windows"),
    "windows": ("stretch of windows", "stretches of windows"),
    "decision": ("decision", "decisions"),
    "promotion": ("verdict", "verdicts"),
    "alert": ("alert", "alerts"),
}
_PHRASES: Mapping[str, str] = {
    "taken in by": "took in",
    "lines of": "holds lines of",
    "part of": "consists of",
    "newest part of": "ends with",
    "scored": "was predicted by",
    "rolled out on": "was predicted in part by",
    "readings of": "was predicted from",
    "trained on": "was trained on rows of",
    "labelled by": "took labels of",
    "fitted": "was fitted by",
    "predicted in": "has predictions of",
    "predictions of": "was measured on",
    "labels of": "was held against labels of",
    "read for": "read",
    "evidence of": "rests on",
    "answered by": "answers",
    "waited for": "answers for a person",
    "judged in": "judged",
    "compared in": "held it against",
    "raised": "was raised in",
    "in production at": "came while in production was what followed from",
}
_MOST_NAMED = 4
_FACTS: Mapping[str, str] = {
    "rows": "{} rows",
    "at": "at {}",
    "as of": "as of labels of {}",
    "event time": "{}",
    "sha256": "sha256 {}…",
    "source_file": "{}",
    "rule": "rule {}",
    "accuracy": "accuracy {}",
    "part": "{}",
    "model": "by {}",
}


def story_of(graph: Graph) -> list[str]:
    """The lines of the text; many nodes of a kind are a range."""
    small = grouped(graph)
    return [line for node in _from_target(small) for line in _paragraph(graph, small, node)]


def named(node: Node) -> str:
    """A node with its kind, and how many it stands for."""
    one, many = _NAMES[node.kind]
    return f"{one} {node.id}" if node.count == 1 else f"{node.count} {many}, {node.id}"


def facts_of(node: Node) -> str:
    """The figures of a node in words."""
    told = [_FACTS[name].format(value) for name, value in node.facts.items() if name in _FACTS]
    return ", ".join(told)


def _from_target(graph: Graph) -> Sequence[Node]:
    """The node that is asked for, then the others from right to left."""
    others = [node for nodes in reversed(graph.ranked) for node in nodes if node.id != graph.of]
    return [graph.node(graph.of), *others]


def _paragraph(whole: Graph, small: Graph, node: Node) -> Iterator[str]:
    """A node, and what it was made from: of a single one, exactly its own sources."""
    facts = facts_of(node)
    yield f"{_capital(named(node))}{f': {facts}' if facts else ''}."
    if node.why:
        yield f"  because: {node.why}"
    graph = whole if node.count == 1 else small
    nodes = {each.id: each for each in graph.nodes}
    sources: dict[tuple[str, str], list[Node]] = {}
    for edge in graph.into(node.id):
        source = nodes[edge.source]
        sources.setdefault((edge.relation, source.group), []).append(source)
    for (relation, _), members in sources.items():
        few = members if len(members) <= _MOST_NAMED else [range_of(members)]
        yield f"  {_PHRASES.get(relation, relation)} {'; '.join(map(_short, few))}"
    if node.kind == "table" and node.count == 1:
        yield f"  {node.sql}"


def _short(node: Node) -> str:
    return node.id if node.count == 1 else f"{node.id} ({node.count})"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
