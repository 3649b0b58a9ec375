"""One HTML file that asks nobody for anything: what every page of a lakehouse has in common.

Its first page stands in it as it is. The others are drawn, too, and packed: a browser unpacks them
when they are looked at. The content policy allows the file's own style and script, by their
digests, and nothing else: what a row holds can neither run nor load anything.
"""

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from lakehouse.dashboard.markup import element, joined
from lakehouse.dashboard.panels import Panel, as_markup
from lakehouse.dashboard.rows import Answer, ModelAnswers
from lakehouse.dashboard.words import cell

OVERVIEW = "overview"
"""The first page: the script shows it where the address names no other."""
_DAYS = ("7", "30", "90", "365", "all")
_WITHOUT_SCRIPT = "Without JavaScript, this page shows the overview alone."


@dataclass(frozen=True)
class Frame:
    """What stands around the pages.

    Attributes:
        title: of the file.
        header: links to its pages.
        main: the first page.
        footer: one line.
        packed: see `packed`; one for each model.
        style: rules beside those that all pages share.
        model: whose tables the first page shows, if it shows any.
    """

    title: str
    header: Markup
    main: Markup
    footer: str
    packed: Sequence[Markup]
    style: str = ""
    model: str | None = None


def document(frame: Frame) -> str:
    """The whole file."""
    style, script = static("page.css") + frame.style, static("page.js")
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
        element("title", frame.title),
        element("style", Markup(style)),
    )
    body = element(
        "body",
        frame.header,
        element("main", frame.main, data_model=frame.model),
        element("p", class_="spoken", id="spoken", aria_live="polite"),
        element("noscript", element("footer", _WITHOUT_SCRIPT)),
        element("footer", frame.footer),
        *frame.packed,
        element("script", Markup(script)),
        data_title=frame.title,
        data_page=OVERVIEW,
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def contents_of(pages: Mapping[str, Sequence[Panel]], model: ModelAnswers) -> dict[str, Any]:
    """What is packed of a model: each page's markup, and the tables that its panels show."""
    asked = {panel.query for own in pages.values() for panel in own if panel.query}
    return {
        "pages": {
            name: str(joined(*(as_markup(panel, model) for panel in own)))
            for name, own in pages.items()
        },
        "tables": {name: _table(model.answers[name]) for name in sorted(asked)},
    }


def packed(name: str, contents: Mapping[str, Any]) -> Markup:
    """The contents of a model, as its script element."""
    text = json.dumps(contents, ensure_ascii=False, separators=(",", ":"))
    data = base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()
    return element("script", Markup(data), type="text/plain", class_="data", data_model=name)


def of_model(pages: Mapping[str, str]) -> Markup:
    """Links to the pages of a model, by name and title, and to the days that are shown."""
    links = (
        element("a", title, href=f"#page={name}", data_page=name) for name, title in pages.items()
    )
    spans = (
        element(
            "a", days if days == "all" else f"{days} days", href=f"#days={days}", data_days=days
        )
        for days in _DAYS
    )
    return element(
        "div",
        element("nav", *links, class_="pages", aria_label="Pages"),
        element("nav", *spans, class_="days", aria_label="Days shown"),
        class_="of-model",
    )


def static(name: str, room: str = "lakehouse.dashboard") -> str:
    """A file that stands in the page as it is."""
    return (files(room) / "static" / name).read_text(encoding="utf-8")


def _table(answer: Answer) -> dict[str, Any]:
    """An answer as text, column by column: so it packs best."""
    return {
        "columns": list(answer.columns),
        "values": [[cell(row[name]) for row in answer.rows] for name in answer.columns],
    }


def _digest(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
