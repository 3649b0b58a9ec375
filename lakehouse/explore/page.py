"""The page: one HTML file that asks nobody for anything. See `lakehouse.dashboard.frame`."""

from collections.abc import Mapping, Sequence

from lakehouse.dashboard.frame import (
    OVERVIEW,
    Frame,
    contents_of,
    document,
    of_model,
    packed,
    static,
)
from lakehouse.dashboard.markup import element, joined
from lakehouse.dashboard.panels import Panel, as_markup
from lakehouse.explore.findings import Findings
from lakehouse.explore.panels.compared import compared
from lakehouse.explore.panels.labels import labels
from lakehouse.explore.panels.overview import opening, overview
from lakehouse.explore.panels.pairs import pairs
from lakehouse.explore.panels.target import by_target
from lakehouse.explore.panels.time import over_time


def page(findings: Findings) -> str:
    """The whole file."""
    pages = pages_of(findings)
    first = [as_markup(panel, findings.model) for panel in pages[OVERVIEW]]
    name = findings.subject.name
    return document(
        Frame(
            f"What is in {name}?",
            element("header", of_model(_titles(findings, list(pages)))),
            joined(opening(findings), *first),
            _footer(findings),
            [packed(name, contents_of(pages, findings.model))],
            static("explore.css", "lakehouse.explore"),
            name,
        )
    )


def pages_of(findings: Findings) -> Mapping[str, Sequence[Panel]]:
    """The pages by name; without rows the overview is all there is."""
    pages = {OVERVIEW: overview(findings)}
    if not findings.has("extent"):
        return pages
    pages |= {
        "time": over_time(findings),
        "target": by_target(findings),
        "pairs": pairs(findings),
        "labels": labels(findings),
    }
    return pages | ({"compared": compared(findings)} if findings.is_compared else {})


def _titles(findings: Findings, names: Sequence[str]) -> dict[str, str]:
    titles = {
        OVERVIEW: "Overview",
        "time": "Over time",
        "target": f"By {findings.subject.by.name}",
        "pairs": "Pairs",
        "labels": "Labels",
        "compared": "Compared",
    }
    return {name: titles[name] for name in names}


def _footer(findings: Findings) -> str:
    """What was read: so that the same can be read again."""
    tables = "; ".join(f"{table.name}@{table.version}" for table in findings.model.tables)
    spans = " against ".join(findings.spans)
    return f"Rows of {spans}, by event time. All times are UTC. Delta versions read: {tables}."
