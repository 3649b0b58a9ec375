"""Charts as markup: values in, SVG out. No chart asks a browser for a decision but its width.

A time chart stretches with the page: what is drawn is in the units of its scales, and lines, dots
and words keep their size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from lakehouse.dashboard.markup import element, joined, short
from lakehouse.dashboard.paths import Plane
from lakehouse.dashboard.scales import HEIGHT, PER_CENT, Moment, TimeAxis

LEVELS = 5
"""Shades of a heat map."""


@dataclass(frozen=True)
class Mark:
    """A word at a moment, above a chart's lines."""

    at: Moment
    text: str
    look: str
    meaning: str


@dataclass(frozen=True)
class Reading:
    """What a reader who moves over a chart is told: columns of a table, by their names there.

    Attributes:
        where: `column=value`, if only rows of that value count.
    """

    table: str
    columns: Sequence[str]
    where: str | None = None


def time_chart(
    plane: Plane,
    layers: Sequence[Markup],
    label: str,
    reading: Reading,
    marks: Sequence[Mark] = (),
    lanes: Mapping[float, str] | None = None,
) -> Markup:
    """A chart over the days, with its scale at the left.

    Args:
        plane: where its values are.
        layers: from the back to the front.
        label: what it shows, for who cannot see it.
        reading: what is told of a day.
        marks: words above the lines.
        lanes: names at some values, in place of a scale.

    Returns:
        A sentence in place of a chart where no layer draws anything.
    """
    if not any(layers):
        return element("p", "Nothing yet.", class_="nothing")
    ticks = lanes or {value: tick_words(value, plane.scale.unit) for value in plane.scale.ticks}
    heights = [plane.scale.at(value) / HEIGHT for value in ticks]
    lines = (element("line", x1=0, x2="100%", y1=_part(y), y2=_part(y)) for y in heights)
    words = (
        element("text", words, x="100%", y=_part(y))
        for words, y in zip(ticks.values(), heights, strict=True)
    )
    return element(
        "div",
        element("svg", *words, class_="y", aria_hidden="true"),
        element(
            "div",
            element("svg", *lines, class_="grid", aria_hidden="true"),
            _zoomed(plane.time, layers),
            element("svg", *_words_of(marks, plane.time), class_="marks", aria_hidden="true"),
            class_="plot",
        ),
        element("svg", class_="x", aria_hidden="true"),
        **_of_chart(plane.time, label, reading),
        class_="chart lanes" if lanes else "chart",
    )


def heat_map(
    time: TimeAxis,
    names: Sequence[str],
    levels: Mapping[tuple[str, Moment], int],
    flagged: Sequence[tuple[str, Moment]],
    label: str,
    reading: Reading,
) -> Markup:
    """A row for each name and a cell for each day, shaded by its level (0 to `LEVELS` - 1).

    Flagged cells have a bar under them besides. A name links to its own panels.
    """
    rows = {name: place for place, name in enumerate(names)}
    by_level: dict[int, list[str]] = {}
    for (name, day), level in sorted(
        levels.items(), key=lambda pair: (pair[0][0], str(pair[0][1]))
    ):
        left = short(time.at(day) - 0.5)
        by_level.setdefault(level, []).append(f"M{left} {rows[name]}h1v.9h-1z")
    flags = "".join(
        f"M{short(time.at(day) - 0.5)} {rows[name] + 0.72:.2f}h1v.18h-1z" for name, day in flagged
    )
    layers = [
        element("path", d="".join(steps), class_=f"heat{level}")
        for level, steps in sorted(by_level.items())
    ]
    layers += [element("path", d=flags, class_="flag")] if flags else []
    words = (
        element("li", element("a", name, href=f"#column={name}", class_="column", title=name))
        for name in names
    )
    return element(
        "div",
        element("ul", *words, class_="names"),
        element("div", _zoomed(time, layers, len(names)), class_="plot"),
        element("svg", class_="x", aria_hidden="true"),
        **_of_chart(time, label, reading),
        class_=f"chart heat rows{min(len(names), 12)}",
    )


def sparkline(values: Sequence[float | None], marks: Sequence[int], label: str) -> Markup:
    """A small line without a scale: `values` in order, and ticks at some of their places."""
    known = [value for value in values if value is not None]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    height = (high - low) or 1.0
    steps, before = [], False
    for place, value in enumerate(values):
        if value is not None:
            down = short(26 - 22 * (value - low) / height)
            steps.append(f"{'L' if before else 'M'}{place} {down}")
        before = value is not None
    ticks = "".join(f"M{place} 0V30" for place in marks)
    return element(
        "svg",
        element("path", d=ticks, class_="promotion") if ticks else None,
        element("path", d="".join(steps), class_="loop"),
        class_="spark",
        viewBox=f"0 0 {max(len(values) - 1, 1)} 30",
        preserveAspectRatio="none",
        role="img",
        aria_label=label,
    )


def legend(entries: Sequence[tuple[str, str]]) -> Markup:
    """What each look means: `(look, words)`."""
    return element(
        "ul",
        *(element("li", _swatch(look), words) for look, words in entries),
        class_="legend",
    )


def matrix(counts: Mapping[tuple[str, str], int], before: Mapping[tuple[str, str], int]) -> Markup:
    """Labels down, predictions across: counts, their share of the label, and how that moved."""
    names = sorted({name for pair in (*counts, *before) for name in pair})
    head = element(
        "tr",
        element("th", "label ↓ prediction →", scope="col"),
        *(element("th", name, scope="col") for name in names),
    )
    rows = [
        element(
            "tr",
            element("th", label, scope="row"),
            *(_cell_of(counts, before, label, prediction, names) for prediction in names),
        )
        for label in names
    ]
    return element("table", element("thead", head), element("tbody", *rows), class_="matrix")


def _cell_of(
    counts: Mapping[tuple[str, str], int],
    before: Mapping[tuple[str, str], int],
    label: str,
    prediction: str,
    names: Sequence[str],
) -> Markup:
    share, was = (_share(each, label, prediction, names) for each in (counts, before))
    look = "right" if label == prediction else "wrong" if counts.get((label, prediction)) else ""
    moved = "" if share is None or was is None else f" ({100 * (share - was):+.1f})"
    words = "" if share is None else f"{100 * share:.1f} %{moved}"
    n = counts.get((label, prediction), 0)
    return element("td", element("b", f"{n:,}"), element("span", words), class_=look)


def _share(
    counts: Mapping[tuple[str, str], int], label: str, prediction: str, names: Sequence[str]
) -> float | None:
    total = sum(counts.get((label, name), 0) for name in names)
    return counts.get((label, prediction), 0) / total if total else None


def reliability(bins: Sequence[tuple[float, float, int]], label: str) -> Markup:
    """Confidence across, share of right predictions up, both from 0.4 to 1; dots grow with rows."""
    most = max((rows for _, _, rows in bins), default=1)

    def at(value: float) -> float:
        return 300 * (min(max(value, 0.4), 1.0) - 0.4) / 0.6

    dots = [
        element(
            "circle",
            cx=short(40 + at(said)),
            cy=short(310 - at(was)),
            r=short(4 + 10 * (rows / most) ** 0.5),
            class_="dot",
        )
        for said, was, rows in bins
    ]
    ticks = [
        joined(
            element("text", f"{value:.0%}", x=short(40 + at(value)), y=330, class_="middle"),
            element("text", f"{value:.0%}", x=32, y=short(314 - at(value)), class_="end"),
        )
        for value in (0.4, 0.6, 0.8, 1.0)
    ]
    return element(
        "svg",
        element("path", d="M40 10V310H340", class_="axis"),
        element("path", d="M40 310L340 10", class_="ideal"),
        *dots,
        *ticks,
        class_="square",
        viewBox="0 0 360 340",
        role="img",
        aria_label=label,
        tabindex=0,
    )


def histograms(
    shares: Sequence[tuple[Sequence[float], str]], first: float, last: float, label: str
) -> Markup:
    """Histograms over the same bins of equal width, one over the other.

    Args:
        shares: for each, the share of rows in each bin, and its look.
        first: where the first bin begins.
        last: where the last one ends.
        label: what they show, for who cannot see it.
    """
    most = max((share for bins, _ in shares for share in bins), default=0.0) or 1.0
    layers = []
    for bins, look in shares:
        tops = [short(100 - 96 * share / most) for share in bins]
        steps = "".join(f"V{top}H{place + 1}" for place, top in enumerate(tops))
        layers.append(element("path", d=f"M0 100{steps}V100z", class_=look))
    words = [
        element("span", f"{first + (last - first) * part:.4g}") for part in (0, 0.25, 0.5, 0.75, 1)
    ]
    width = max((len(bins) for bins, _ in shares), default=1)
    drawing = element(
        "svg",
        *layers,
        viewBox=f"0 0 {width} 100",
        preserveAspectRatio="none",
        aria_hidden="true",
    )
    foot = element("div", *words, class_="foot", aria_hidden="true")
    return element(
        "div", drawing, foot, class_="histogram", role="img", aria_label=label, tabindex=0
    )


def bars(
    entries: Sequence[tuple[str, float, str]], label: str, longest: float | None = None
) -> Markup:
    """A bar for each entry: its name, its length, and the words at its end.

    Args:
        entries: see above.
        label: what they show, for who cannot see it.
        longest: length of the whole width; that of the longest bar, if not given.
    """
    most = longest or max((length for _, length, _ in entries), default=0) or 1
    rows = [
        element(
            "div",
            element("span", name),
            element(
                "svg",
                element("rect", width=f"{100 * length / most:.1f}%", height="100%"),
                aria_hidden="true",
            ),
            element("span", words),
        )
        for name, length, words in entries
    ]
    return element("div", *rows, class_="bars", role="img", aria_label=label, tabindex=0)


def _zoomed(time: TimeAxis, layers: Sequence[Markup], height: int = HEIGHT) -> Markup:
    return element(
        "svg",
        *layers,
        class_="zoom",
        viewBox=f"0 0 {time.days} {height}",
        preserveAspectRatio="none",
        aria_hidden="true",
    )


def _of_chart(time: TimeAxis, label: str, reading: Reading) -> dict[str, object]:
    return {
        "role": "img",
        "tabindex": 0,
        "aria_label": label,
        "data_first": time.first.isoformat(),
        "data_days": time.days,
        "data_table": reading.table,
        "data_show": ",".join(reading.columns),
        "data_where": reading.where,
    }


def _words_of(marks: Sequence[Mark], time: TimeAxis) -> list[Markup]:
    return [
        element(
            "text",
            mark.text,
            element("title", mark.meaning),
            x=_part(time.at(mark.at) / time.days),
            y=11,
            data_x=short(time.at(mark.at)),
            class_=mark.look,
        )
        for mark in marks
    ]


def _swatch(look: str) -> Markup:
    shape = "M0 2H24V12H0z" if look.startswith(("area", "bar", "heat", "flag")) else "M1 7H23"
    return element(
        "svg",
        element("path", d="M12 7h0" if look.startswith("dot") else shape, class_=look),
        class_="swatch",
        viewBox="0 0 24 14",
        aria_hidden="true",
    )


def tick_words(value: float, unit: str) -> str:
    """A value at a scale; shares in per cent."""
    return f"{100 * value:.4g} %" if unit == PER_CENT else f"{value:,.10g}"


def _part(place: float) -> str:
    return f"{100 * place:.2f}%"
