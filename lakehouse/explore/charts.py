"""Charts over the values of a column, and over those of two: rows in, SVG out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from lakehouse.dashboard.charts import tick_words
from lakehouse.dashboard.markup import element, short
from lakehouse.dashboard.scales import HEIGHT, Scale
from lakehouse.explore.bins import Bins

SHADES = 11
"""Shades from a share of 0 to one of 1."""
_WIDTH = 1000
_EDGE = 0.03


@dataclass(frozen=True)
class Steps:
    """A value for each bin, with a band around it if there is one.

    Attributes:
        values: by the bin's code; bins without rows are not there.
        look: of the line.
        band: low and high, by the bin's code.
        area: look of the band.
    """

    values: Mapping[int, float]
    look: str
    band: Mapping[int, tuple[float, float]] | None = None
    area: str = ""


def bounds_of(bins: Bins) -> list[tuple[float, float]]:
    """Where each bin is drawn, from 0 to 1000: to scale for a number, else side by side."""
    if bins.edges:
        width = (bins.high - bins.low) or 1.0
        ends = [bins.low, *bins.edges, bins.high]
        places = [_WIDTH * (min(max(end, bins.low), bins.high) - bins.low) / width for end in ends]
        return list(pairwise(places))
    step = _WIDTH / max(bins.drawn, 1)
    return [(step * place, step * (place + 1)) for place in range(bins.drawn)]


def value_chart(bins: Bins, scale: Scale, lines: Sequence[Steps], label: str) -> Markup:
    """Steps over the values of a column, with the scale at the left and the values below.

    Args:
        bins: of the column.
        scale: of what is shown.
        lines: from the back to the front.
        label: what it shows, for who cannot see it.
    """
    bounds = bounds_of(bins)
    layers = [_band(line, bounds, scale) for line in lines if line.band]
    layers += [_steps(line, bounds, scale) for line in lines]
    heights = [scale.at(value) / HEIGHT for value in scale.ticks]
    grid = (element("line", x1=0, x2="100%", y1=_part(y), y2=_part(y)) for y in heights)
    words = (
        element("text", tick_words(value, scale.unit), x="100%", y=_part(y))
        for value, y in zip(scale.ticks, heights, strict=True)
    )
    return element(
        "div",
        element("svg", *words, class_="y", aria_hidden="true"),
        element(
            "div",
            element("svg", *grid, class_="grid", aria_hidden="true"),
            _stretched(layers, HEIGHT),
            class_="plot",
        ),
        _foot(bins),
        class_="values",
        role="img",
        tabindex=0,
        aria_label=label,
    )


def heights(bins: Bins, shares: Sequence[tuple[Mapping[int, float], str]], label: str) -> Markup:
    """Histograms one over the other: the area of a bin is its share of rows.

    Args:
        bins: of the column.
        shares: for each, the share of rows in each bin, and its look.
        label: what they show, for who cannot see it.
    """
    bounds = bounds_of(bins)
    dense = [
        {
            code: share / max(right - left, 1.0)
            for code, share, (left, right) in _placed(own, bounds)
        }
        for own, _ in shares
    ]
    most = max((height for own in dense for height in own.values()), default=0.0) or 1.0
    layers = []
    for own, (_, look) in zip(dense, shares, strict=True):
        steps = "".join(
            f"V{short(100 - 96 * own.get(code, 0.0) / most)}H{short(right)}"
            for code, (_, right) in enumerate(bounds)
        )
        layers.append(element("path", d=f"M0 100{steps}V100z", class_=look))
    return element(
        "div",
        _stretched(layers, 100),
        _foot(bins),
        class_="values bare",
        role="img",
        tabindex=0,
        aria_label=label,
    )


def shade_of(value: float) -> str:
    """The look of a share of 0 to 1."""
    return f"shade{round((SHADES - 1) * min(max(value, 0.0), 1.0))}"


def field(cells: Mapping[tuple[int, int], tuple[float, bool]], across: int, down: int) -> Markup:
    """A two-dimensional histogram: a cell for each pair of bins, shaded by its share.

    Args:
        cells: for each pair of codes the share (0 to 1), and whether it has few rows.
        across: bins from left to right.
        down: bins from the bottom up.
    """
    steps: dict[str, list[str]] = {}
    for (x, y), (value, few) in sorted(cells.items()):
        look = f"{shade_of(value)} few" if few else shade_of(value)
        steps.setdefault(look, []).append(f"M{x} {down - 1 - y}h1v1h-1z")
    layers = [element("path", d="".join(own), class_=look) for look, own in sorted(steps.items())]
    return element(
        "svg",
        *layers,
        viewBox=f"0 0 {across} {down}",
        preserveAspectRatio="none",
        aria_hidden="true",
    )


def ramp(low: str, high: str) -> Markup:
    """What the shades mean, from the least to the greatest."""
    cells = (element("i", class_=f"ramp shade{place}") for place in range(SHADES))
    return element("p", low, element("span", *cells, class_="cells"), high, class_="ramps")


def grid(cells: Sequence[Markup], columns: int, label: str, look: str) -> Markup:
    """Cells in rows of so many; the whole is one picture for who cannot see it."""
    rows = [
        element("div", *cells[start : start + columns], class_="row")
        for start in range(0, len(cells), columns)
    ]
    return element("div", *rows, class_=f"grid-of {look}", role="img", tabindex=0, aria_label=label)


def _placed(
    values: Mapping[int, float], bounds: Sequence[tuple[float, float]]
) -> list[tuple[int, float, tuple[float, float]]]:
    known = sorted(values.items())
    return [(code, value, bounds[code]) for code, value in known if code < len(bounds)]


def _steps(line: Steps, bounds: Sequence[tuple[float, float]], scale: Scale) -> Markup:
    """A level line for each bin, joined where the next bin has a value, too."""
    path, before = [], None
    for code, value, (left, right) in _placed(line.values, bounds):
        height = short(scale.at(value))
        path.append(f"V{height}" if before == code - 1 else f"M{short(left)} {height}")
        path.append(f"H{short(right)}")
        before = code
    return element("path", d="".join(path), class_=line.look)


def _band(line: Steps, bounds: Sequence[tuple[float, float]], scale: Scale) -> Markup:
    assert line.band is not None
    path = []
    for code, (low, high) in sorted(line.band.items()):
        if code < len(bounds):
            left, right = bounds[code]
            top, bottom = short(scale.at(high)), short(scale.at(low))
            path.append(f"M{short(left)} {top}H{short(right)}V{bottom}H{short(left)}z")
    return element("path", d="".join(path), class_=line.area)


def _stretched(layers: Sequence[Markup], height: int) -> Markup:
    return element(
        "svg",
        *layers,
        class_="drawn",
        viewBox=f"0 0 {_WIDTH} {height}",
        preserveAspectRatio="none",
        aria_hidden="true",
    )


def _foot(bins: Bins) -> Markup:
    """The values below a chart: some of a number, each name of kinds."""
    if bins.edges:
        return element("svg", *_ticks(bins), class_="foot", aria_hidden="true")
    names = [element("span", name) for name in bins.words[: bins.drawn]]
    return element("div", *names, class_="foot kinds", aria_hidden="true")


def _ticks(bins: Bins) -> list[Markup]:
    """Round values below a chart, each where it is."""
    width = (bins.high - bins.low) or 1.0
    ticks = Scale(bins.low, bins.high).ticks
    at = {value: (value - bins.low) / width for value in ticks}
    parts = []
    for value, place in at.items():
        look = "begin" if place < _EDGE else "end" if place > 1 - _EDGE else "middle"
        parts.append(element("line", x1=_part(place), x2=_part(place), y1=0, y2=4))
        parts.append(element("text", f"{value:.10g}", x=_part(place), y=17, class_=look))
    return parts


def _part(place: float) -> str:
    return f"{100 * place:.2f}%"
