"""The graph of one promotion, from its row of gold.promotion_provenance. Pure."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lakehouse.lineage.graph import Edge, Graph, Node, graph_of
from lakehouse.lineage.queries import sql_of

Row = Mapping[str, Any]
_SHORT_DIGEST = 12


def provenance_graph(row: Row, refused: Sequence[Row] = ()) -> Graph:
    """Why a version is in production: files, tables, run, model, windows, decision, verdict.

    Args:
        row: of the promotion, or rollback.
        refused: of the verdicts since the one before that let no version take over; faint.
    """
    nodes, edges = list(_nodes(row)), list(_edges(row))
    for other in refused:
        nodes += _challenger(other)
        edges += _challenged(other)
    known = {node.id for node in nodes}
    whole = [edge for edge in edges if edge.source in known and edge.target in known]
    return graph_of(row["promotion_id"], nodes, whole)


def files_id(row: Row) -> str | None:
    """The landed files that a version's readings came in; None where none is on record."""
    if not row["files"]:
        return None
    first, last = f"file/{row['first_file']}", f"file/{row['last_file']}"
    return first if first == last else f"{first} … {last}"


def _nodes(row: Row) -> Iterator[Node]:
    files = files_id(row)
    if files:
        where = f"landed_file_id BETWEEN {row['first_file']} AND {row['last_file']}"
        sql = f"SELECT * FROM bronze.landed_file WHERE {where}"
        yield Node("file", files, row["files"], {"rows": f"{row['file_lines']:,}"}, sql)
        commits = {"part": f"of {row['commits']:,} commits"}
        yield _node("table", row["readings_id"], commits)
    elif row["readings_id"]:
        yield _node("table", row["readings_id"], {})
    for name in ("labels_id", "facts_id"):
        if row[name]:
            yield _node("table", row[name], {})
    if row["run_id"]:
        span = f"{_day(row['trained_from'])} to {_day(row['trained_to'])}"
        facts = {"rows": f"{row['trained_rows']:,}", "event time": span}
        yield _node("run", f"run/{row['run_id']}", facts)
    if row["from_version"]:
        facts = {"part": "in production before"}
        yield _node("model", f"model/{row['from_version']}", facts)
    if row["windows_id"]:
        yield _node("windows", row["windows_id"], {"event time": _span_of(row["windows_id"])})
    if row["decision_id"]:
        facts = {"rule": row["decision_rule"]}
        yield _node("decision", row["decision_id"], facts, row["decision_reason"])
    yield from _challenger(row, faint=False)


def _challenger(row: Row, faint: bool = True) -> Iterator[Node]:
    """The version that was judged, and the verdict."""
    if row["to_version"]:
        digest = {"sha256": (row["model_sha256"] or "")[:_SHORT_DIGEST]}
        yield replace(_node("model", f"model/{row['to_version']}", digest), faint=faint)
    facts = {"at": f"{row['recorded_at']:%Y-%m-%d %H:%M}"}
    if row["rows_compared"] is not None:
        facts["rows"] = f"{row['rows_compared']:,}"
    verdict = _node("promotion", row["promotion_id"], facts, row["reason"] or "")
    yield replace(verdict, faint=faint)


def _node(kind: str, node: str, facts: Mapping[str, str], why: str = "") -> Node:
    return Node(kind, node, 1, facts, sql_of(node), why)


def _span_of(windows: str) -> str:
    """From which day to which one a stretch of windows goes."""
    first, last = windows.rsplit("/", maxsplit=1)[-1].split("..")
    return f"{first.split('T')[0]} to {last.split('T')[0]}"


def _edges(row: Row) -> Iterator[Edge]:
    run, decision = f"run/{row['run_id']}", row["decision_id"] or ""
    if files := files_id(row):
        yield Edge(files, row["readings_id"], "part of")
    yield Edge(row["readings_id"] or "", run, "trained on")
    yield Edge(row["labels_id"] or "", run, "labelled by")
    yield Edge(run, f"model/{row['to_version']}", "fitted")
    yield Edge(row["facts_id"] or "", row["windows_id"] or "", "read for")
    yield Edge(f"model/{row['from_version']}", row["windows_id"] or "", "predicted in")
    yield Edge(row["windows_id"] or "", decision, "evidence of")
    yield Edge(decision, row["promotion_id"], "answered by")
    yield Edge(f"model/{row['from_version']}", row["promotion_id"], "compared in")
    yield from _challenged(row)


def _challenged(row: Row) -> Iterator[Edge]:
    yield Edge(f"model/{row['to_version']}", row["promotion_id"], "judged in")


def _day(moment: dt.datetime | None) -> str:
    return "the beginning" if moment is None else f"{moment:%Y-%m-%d}"
