"""Small graphs for tests."""

from lakehouse.lineage.graph import Edge, Graph, Node, graph_of


def chain(files: int) -> Graph:
    """Files to a commit of readings, to the table at a version, to a run, to a model."""
    landed = [
        Node("file", f"file/{number}", 1, {"rows": "192", "source_file": f"reading/{number}.jsonl"})
        for number in range(1, files + 1)
    ]
    nodes = [
        *landed,
        Node("commit", "bronze.reading#2", 1, {"rows": "576"}),
        Node("table", "silver.reading@2", 1, {}, "SELECT * FROM silver.reading VERSION AS OF 2"),
        Node("run", "run/5f2c", 1, {"rows": "576"}),
        Node("model", "model/6", 1, {"rows": "576", "sha256": "ab12"}),
    ]
    edges = [
        *(Edge(node.id, "bronze.reading#2", "taken in by") for node in landed),
        Edge("bronze.reading#2", "silver.reading@2", "part of"),
        Edge("silver.reading@2", "run/5f2c", "trained on"),
        Edge("run/5f2c", "model/6", "fitted"),
    ]
    return graph_of("model/6", nodes, edges)
