"""Pairs: what do two columns tell together, and what have they to do with each other?"""

from markupsafe import Markup

from lakehouse.dashboard.charts import bars
from lakehouse.dashboard.markup import element, joined
from lakehouse.dashboard.panels import Panel, nothing
from lakehouse.dashboard.words import cell
from lakehouse.explore.asks import step_of
from lakehouse.explore.charts import field, grid, ramp
from lakehouse.explore.findings import PAIRED, Findings
from lakehouse.explore.subject import Column

_FEW = 5
_CLOSEST = 15
_LEAST_MAP, _FEW_COLUMNS = 4, 12


def pairs(findings: Findings) -> list[Panel]:
    """The matrix of all pairs, one for each span, and how close columns are."""
    if len(findings.subject.columns) < 2:
        words = nothing("A pair takes two columns; there is one.")
        return [Panel("pairs", "What do two columns tell together?", "", words)]
    spans = range(len(findings.spans))
    return [*(_matrix(findings, span) for span in spans), _between(findings)]


def _matrix(findings: Findings, span: int) -> Panel:
    by = findings.subject.by.name
    what = f"share of {findings.focus_words}" if findings.focus is not None else f"mean of {by}"
    in_span = f" ({findings.spans[span]})" if findings.is_compared else ""
    left_out = len(findings.subject.columns) - len(findings.paired)
    note = f"Each square: one column across, one up, in bins; the shade is the {what}. "
    note += f"Cells of fewer than {_FEW} rows are pale."
    if left_out:
        note += f" Of {len(findings.subject.columns)} columns, the {PAIRED} that tell most of {by}."
    return Panel(
        f"pairs-{span}",
        f"What do two columns tell of {by} together?{in_span}",
        note,
        _grid(findings, span, what) if findings.has("pairs") else nothing("No row to tell of."),
        "pairs" if findings.has("pairs") else None,
        columns=_columns(findings),
        where=f"span={findings.spans[span]}",
    )


def _columns(findings: Findings) -> tuple[str, ...]:
    measure = "mean" if findings.focus is None else "share"
    return ("span", "x", "x_bin", "y", "y_bin", "n_rows", measure)


def _grid(findings: Findings, span: int, what: str) -> Markup:
    columns, rows = findings.paired, findings.rows("pairs", span)
    measure = "mean" if findings.focus is None else "share"
    values = [row[measure] for row in findings.rows("pairs") if row["n_rows"] >= _FEW]
    low, high = (0.0, 1.0) if findings.focus is not None else _ends(values)
    width = (high - low) or 1.0
    cells: dict[tuple[str, str], dict[tuple[int, int], tuple[float, bool]]] = {}
    for row in rows:
        own = cells.setdefault((row["x"], row["y"]), {})
        value = (row[measure] - low) / width
        own[row["x_code"], row["y_code"]] = (value, row["n_rows"] < _FEW)
    parts = []
    for down, y in enumerate(columns[1:], 1):
        parts.append(_name(findings, y, "side"))
        for across, x in enumerate(columns[:-1]):
            square = cells.get((x.name, y.name), {}) if across < down else None
            parts.append(_cell(findings, x, y, square))
    parts.append(element("div", class_="side"))
    parts += [_name(findings, x, "foot-name") for x in columns[:-1]]
    words = (
        ("0 %", f"100 % {what}")
        if findings.focus is not None
        else (cell(low), f"{cell(high)} {what}")
    )
    size = "many" if len(columns) > 6 else f"of{len(columns)}"
    label = f"All pairs of {len(columns)} columns, shaded by the {what}"
    return joined(grid(parts, len(columns), label, size), ramp(*words))


def _ends(values: list[float]) -> tuple[float, float]:
    """Where the shades of a mean begin and end: without the outermost twentieths."""
    if not values:
        return 0.0, 1.0
    ranked = sorted(values)
    return ranked[len(ranked) // 20], ranked[-1 - len(ranked) // 20]


def _name(findings: Findings, column: Column, look: str) -> Markup:
    bins = findings.bins(column)
    reach = f"{bins.low:.4g} to {bins.high:.4g}" if bins.is_number else ""
    return element("div", element("b", column.name), element("small", reach), class_=look)


def _cell(
    findings: Findings,
    x: Column,
    y: Column,
    square: dict[tuple[int, int], tuple[float, bool]] | None,
) -> Markup:
    if square is None:
        return element("div", class_="cell blank")
    across, down = (_size(findings, each) for each in (x, y))
    title = f"{x.name} across, {y.name} up"
    return element("div", field(square, across, down), class_="cell", title=title)


def _size(findings: Findings, column: Column) -> int:
    bins = findings.bins(column)
    return bins.coarse(step_of(findings.plan, bins, len(findings.paired))).drawn


def _between(findings: Findings) -> Panel:
    rows = findings.rows("between")
    names = [
        f"{row['x']} and {row['y']}" + (f" ({row['span']})" if findings.is_compared else "")
        for row in rows
    ]
    entries = [
        (name, row["cramers_v"], _strength(row))
        for name, row in sorted(
            zip(names, rows, strict=True), key=lambda pair: -pair[1]["cramers_v"]
        )[:_CLOSEST]
    ]
    body = bars(entries, "How close each two columns are", 1.0)
    chart = _map(findings) if len(findings.subject.columns) >= _LEAST_MAP else None
    return Panel(
        "between",
        "Which columns say the same?",
        "Cramér's V over bins, corrected for chance: 0 nothing in common, 1 the same. Of more than "
        "500,000 rows, about so many are looked at.",
        joined(chart, body),
        "between",
    )


def _strength(row: object) -> str:
    assert isinstance(row, dict)
    r = row["correlation"]
    return f"V {row['cramers_v']:.2f}" + ("" if r is None else f", correlation {r:+.2f}")


def _map(findings: Findings) -> Markup:
    """A map of all columns by all columns."""
    names = [column.name for column in findings.ordered]
    place = {name: at for at, name in enumerate(names)}
    cells = {(at, len(names) - 1 - at): (1.0, False) for at in range(len(names))}
    for row in findings.rows("between", 0):
        x, y = place[row["x"]], place[row["y"]]
        for across, down in ((x, y), (y, x)):
            cells[across, len(names) - 1 - down] = (row["cramers_v"], False)
    words = element("ul", *(element("li", name) for name in names), class_="names")
    return element(
        "div",
        words,
        element("div", field(cells, len(names), len(names)), class_="square-of"),
        class_="map" if len(names) > _FEW_COLUMNS else "map small",
        role="img",
        tabindex=0,
        aria_label=f"How close each two of {len(names)} columns are",
    )
