"""Compared: what moved from one span to the other?"""

from lakehouse.dashboard.charts import bars
from lakehouse.dashboard.markup import element
from lakehouse.dashboard.panels import Panel, nothing
from lakehouse.dashboard.words import cell
from lakehouse.drift.definition import LARGE, UNLIKELY
from lakehouse.explore.findings import Findings
from lakehouse.explore.panels import move_of
from lakehouse.explore.words import of_drift, of_move


def compared(findings: Findings) -> list[Panel]:
    """Which columns moved, and where the share of a class did."""
    if not findings.has("moved"):
        words = nothing("There are no rows to compare.")
        return [Panel("moved", "What moved most?", "", words)]
    return [_moved(findings), *_rule(findings)]


def _moved(findings: Findings) -> Panel:
    rows = [row for row in findings.rows("moved") if row["drift_index"] is not None]
    entries = [
        (
            str(row["column_name"]),
            float(row["drift_index"]),
            f"{cell(row['drift_index'])}{', drifted' if row['has_drifted'] else ''}",
        )
        for row in rows
    ]
    first, second = findings.spans
    return Panel(
        "moved",
        "What moved most?",
        f"{first} against {second}. {of_drift(findings)} Population stability index of numbers, "
        f"total variation of kinds; drifted: {LARGE} or more, adjusted p below {UNLIKELY}.",
        bars(entries, "How far each column has moved") if entries else nothing("No values."),
        "moved",
    )


def _rule(findings: Findings) -> list[Panel]:
    """Where the share of a class moved though the values may not have."""
    if findings.focus is None:
        return []
    columns = {column.name: column for column in findings.subject.columns}
    told = [columns[row["column_name"]] for row in findings.rows("rule")]
    words = [element("li", of_move(findings, each, move_of(findings, each))) for each in told]
    return [
        Panel(
            "rule",
            f"Where did {findings.subject.by.name} move, though the values may not have?",
            "The stretch of each column whose share moved most surely, by ten points or more.",
            element("ul", *words, class_="found") if words else nothing("Nowhere."),
            "rule",
        )
    ]
