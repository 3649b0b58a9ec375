"""HTML and SVG elements as values. Text is escaped unless it is markup already."""

import math

from markupsafe import Markup, escape

_VOID = {"meta", "br", "link"}


def element(name: str, /, *children: object, **attributes: object) -> Markup:
    """An element; text among its children and in its attributes is escaped.

    `class_` is `class`, and `data_panel` is `data-panel`. An attribute that is None or False is
    left out; True stands for the bare name. Children that are None are left out.

        >>> str(element("b", "a < b", class_="x", hidden=False, title='"'))
        '<b class="x" title="&#34;">a &lt; b</b>'
    """
    words = Markup("").join(
        Markup(" {}").format(_name(key))
        if value is True
        else Markup(' {}="{}"').format(_name(key), value)
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    head = Markup("<{}{}>").format(name, words)
    if name in _VOID:
        return head
    inside = Markup("").join(escape(child) for child in children if child is not None)
    return head + inside + Markup("</{}>").format(name)


def joined(*children: object) -> Markup:
    """Elements one after the other; None is left out."""
    return Markup("").join(escape(child) for child in children if child is not None)


def short(number: float) -> str:
    """A coordinate, to a hundredth, without zeros that say nothing.

    >>> short(3.0), short(2.504)
    ('3', '2.5')
    """
    if not math.isfinite(number):
        raise ValueError(f"{number} is no coordinate")
    return f"{number:.2f}".rstrip("0").rstrip(".")


def _name(attribute: str) -> str:
    return attribute.rstrip("_").replace("_", "-")
