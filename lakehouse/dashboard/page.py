"""The page: one HTML file that asks nobody for anything.

The overview stands in it as it is. The other pages are drawn, too, and packed by model: a browser
unpacks one when it is looked at. The content policy allows this file's own style and script, by
their digests, and nothing else: what a row holds can neither run nor load anything.
"""

import base64
import gzip
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from lakehouse.dashboard.markup import element, joined
from lakehouse.dashboard.panels import Panel, as_markup
from lakehouse.dashboard.panels.about import about
from lakehouse.dashboard.panels.decisions import decisions
from lakehouse.dashboard.panels.drift import drift
from lakehouse.dashboard.panels.operations import operations
from lakehouse.dashboard.panels.overview import overview
from lakehouse.dashboard.panels.performance import performance
from lakehouse.dashboard.panels.provenance import provenance
from lakehouse.dashboard.panels.value import value
from lakehouse.dashboard.panels.versions import versions
from lakehouse.dashboard.rows import Answer, ModelAnswers
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
_DAYS = ("7", "30", "90", "365", "all")
_WITHOUT_SCRIPT = "Without JavaScript, this page shows the overview alone."


def page(models: Sequence[tuple[str, ModelAnswers]]) -> str:
    """The whole file.

    Args:
        models: each with a name that no other has.
    """
    style, script = _static("page.css"), _static("page.js")
    policy = (
        f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", **{"http-equiv": "Content-Security-Policy"}, content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", TITLE),
        element("style", Markup(style)),
    )
    body = element(
        "body",
        _header([name for name, _ in models]),
        element("main", overview(models)),
        element("p", class_="spoken", id="spoken", aria_live="polite"),
        element("noscript", element("footer", _WITHOUT_SCRIPT)),
        element("footer", _footer(models)),
        *(_packed(name, model) for name, model in models),
        element("script", Markup(script)),
        data_title=TITLE,
        data_page="overview",
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def contents(model: ModelAnswers) -> dict[str, Any]:
    """What is packed of a model: each page's markup, and the tables that its panels show."""
    panels = {name: draw(model) for name, draw in PAGES.items()}
    asked = {panel.query for own in panels.values() for panel in own if panel.query}
    return {
        "pages": {
            name: str(joined(*(as_markup(panel, model) for panel in own)))
            for name, own in panels.items()
        },
        "tables": {name: _table(model.answers[name]) for name in sorted(asked)},
    }


def _table(answer: Answer) -> dict[str, Any]:
    """An answer as text, column by column: so it packs best."""
    return {
        "columns": list(answer.columns),
        "values": [[cell(row[name]) for row in answer.rows] for name in answer.columns],
    }


def _packed(name: str, model: ModelAnswers) -> Markup:
    text = json.dumps(contents(model), ensure_ascii=False, separators=(",", ":"))
    packed = gzip.compress(text.encode(), 9, mtime=0)
    data = base64.b64encode(packed).decode()
    return element("script", Markup(data), type="text/plain", class_="data", data_model=name)


def _header(names: Sequence[str]) -> Markup:
    pages = ["overview", *PAGES] if names else ["overview"]
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
        element(
            "div",
            element(
                "nav",
                *(
                    element("a", name.capitalize(), href=f"#page={name}", data_page=name)
                    for name in pages
                ),
                class_="pages",
                aria_label="Pages",
            ),
            element(
                "nav",
                *(
                    element(
                        "a",
                        "all" if days == "all" else f"{days} days",
                        href=f"#days={days}",
                        data_days=days,
                    )
                    for days in _DAYS
                ),
                class_="days",
                aria_label="Days shown",
            ),
            class_="of-model",
        ),
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


def _digest(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _static(name: str) -> str:
    return (files("lakehouse.dashboard") / "static" / name).read_text(encoding="utf-8")
