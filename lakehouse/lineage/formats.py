"""A graph of lineage in other tools' languages: Mermaid, Graphviz's DOT, OpenLineage. Pure."""

import json
import uuid
from typing import Any

from lakehouse.lineage.graph import Graph, Node, grouped
from lakehouse.lineage.story import facts_of

PRODUCER = "urn:glassware-lakehouse"
_SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACETS = "https://openlineage.io/spec/facets"
_STEPS = ("commit", "run", "window", "windows", "decision", "promotion", "alert", "model")
"""Kinds that are made by a step; the others are data alone."""


def as_mermaid(graph: Graph) -> list[str]:
    """A flow chart for Mermaid, from left to right; many nodes of a kind are one."""
    small = grouped(graph)
    names = _names(small)
    nodes = [f'  {names[node.id]}["{_words(node, "<br>")}"]' for node in small.nodes]
    edges = [
        f'  {names[edge.source]} -->|"{edge.relation}"| {names[edge.target]}'
        for edge in small.edges
    ]
    return ["flowchart LR", *nodes, *edges]


def as_dot(graph: Graph) -> list[str]:
    """A directed graph for Graphviz, a rank of which stands in one column."""
    small = grouped(graph)
    lines = ["digraph lineage {", "  rankdir=LR;", "  node [shape=box];"]
    for nodes in small.ranked:
        ids = " ".join(f"{_dot(node.id)};" for node in nodes)
        lines.append(f"  {{ rank=same; {ids} }}")
    for node in small.nodes:
        lines.append(f"  {_dot(node.id)} [label={_dot(_words(node, chr(10)))}];")
    for edge in small.edges:
        lines.append(f"  {_dot(edge.source)} -> {_dot(edge.target)} [label={_dot(edge.relation)}];")
    return [*lines, "}"]


def as_openlineage(graph: Graph, namespace: str, at: str) -> list[str]:
    """A START and a COMPLETE event for each step, a line each: inputs, output, Delta versions.

    Follows the schema of OpenLineage 2-0-2 and its facet DatasetVersion 1-0-1. The same graph gives
    the same run ids, so that to send it again changes nothing.

    Args:
        graph: of what something was made from.
        namespace: of the lakehouse, such as `glassware`.
        at: time of a step that has none on record, ISO 8601.
    """
    events = (_event(graph, node, namespace, at) for node in graph.nodes if node.kind in _STEPS)
    return [
        json.dumps({**event, "eventType": kind}, sort_keys=True)
        for event in events
        if event
        for kind in ("START", "COMPLETE")
    ]


def _event(graph: Graph, node: Node, namespace: str, at: str) -> dict[str, Any] | None:
    sources = [graph.node(edge.source) for edge in graph.into(node.id)]
    if not sources:
        return None
    told = node.facts.get("at")
    moment = f"{told.replace(' ', 'T')}:00Z" if told else at
    return {
        "eventTime": moment,
        "producer": PRODUCER,
        "schemaURL": _SCHEMA,
        "run": {"runId": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{namespace}/{node.id}"))},
        "job": {"namespace": namespace, "name": f"make {node.group or node.kind}"},
        "inputs": [_dataset(source, namespace) for source in sources],
        "outputs": [_dataset(node, namespace)],
    }


def _dataset(node: Node, namespace: str) -> dict[str, Any]:
    """A table with its version; anything else under its id."""
    if node.kind not in ("table", "commit"):
        return {"namespace": namespace, "name": node.id}
    version = node.id.replace("#", "@").rpartition("@")[2]
    facet = {
        "_producer": PRODUCER,
        "_schemaURL": f"{_FACETS}/1-0-1/DatasetVersionDatasetFacet.json"
        "#/$defs/DatasetVersionDatasetFacet",
        "datasetVersion": version,
    }
    return {"namespace": namespace, "name": node.group, "facets": {"version": facet}}


def _names(graph: Graph) -> dict[str, str]:
    return {node.id: f"n{place}" for place, node in enumerate(graph.nodes)}


def _words(node: Node, line_break: str) -> str:
    title = node.id if node.count == 1 else f"{node.id} ({node.count})"
    facts = facts_of(node)
    return (title + (line_break + facts if facts else "")).replace('"', "'")


def _dot(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
