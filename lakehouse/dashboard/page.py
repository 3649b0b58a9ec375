"""The page: all models in one HTML file. See `frame` for what such a file is."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from lakehouse.dashboard.frame import OVERVIEW, Frame, contents_of, document, of_model, packed
from lakehouse.dashboard.markup import element
from lakehouse.dashboard.panels import Panel
from lakehouse.dashboard.panels.about import about
from lakehouse.dashboard.panels.decisions import decisions
from lakehouse.dashboard.panels.drift import drift
from lakehouse.dashboard.panels.operations import operations
from lakehouse.dashboard.panels.overview import overview
from lakehouse.dashboard.panels.performance import performance
from lakehouse.dashboard.panels.provenance import provenance
from lakehouse.dashboard.panels.value import value
from lakehouse.dashboard.panels.versions import versions
from lakehouse.dashboard.rows import ModelAnswers
from lakehouse.dashboard.words import cell

TITLE = "How the models are"
PAGES: Mapping[str, Callable[[ModelAnswers], list[Panel]]] = {
    "performance": performance,
    "drift": drift,
    "decisions": decisions,
    "value": value,
    "versions": versions,
    "provenance": provenance,
    "operations": operations,
    "about": about,
}


def page(models: Sequence[tuple[str, ModelAnswers]]) -> str:
    """The whole file.

    Args:
        models: each with a name that no other has.
    """
    return document(
        Frame(
            TITLE,
            _header([name for name, _ in models]),
            overview(models),
            _footer(models),
            [packed(name, contents(model)) for name, model in models],
        )
    )


def contents(model: ModelAnswers) -> dict[str, Any]:
    """What is packed of a model: each page's markup, and the tables that its panels show."""
    return contents_of({name: draw(model) for name, draw in PAGES.items()}, model)


def _header(names: Sequence[str]) -> Markup:
    pages = [OVERVIEW, *PAGES] if names else [OVERVIEW]
    return element(
        "header",
        element(
            "nav",
            *(element("a", name, href=f"#model={name}", data_model=name) for name in names),
            class_="models",
            aria_label="Models",
        )
        if names
        else None,
        of_model({name: name.capitalize() for name in pages}),
    )


def _footer(models: Sequence[tuple[str, ModelAnswers]]) -> str:
    """Up to which label batch the page knows."""
    newest = [
        f"{name} up to {cell(model.rows('decisions')[-1]['as_of'])}"
        for name, model in models
        if model.rows("decisions")
    ]
    known = f" Label batches: {'; '.join(newest)}." if newest else ""
    return f"All times are UTC, and of the data.{known}"
