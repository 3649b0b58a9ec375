"""An explanation as a plain-text table: a column for each version."""

from collections.abc import Iterable, Sequence
from typing import Any

from lakehouse.explain.border import Border, nearest
from lakehouse.explain.explanation import Explanation, View
from lakehouse.storage.plain_tables import Row

_NEAREST = "*"


def as_lines(explanation: Explanation) -> list[str]:
    """What is on record of the row, then the versions side by side, then what the words mean."""
    return [
        *_on_record(explanation),
        "",
        *_aligned(_table(explanation)),
        "",
        *_notes(explanation.views),
    ]


def _on_record(explanation: Explanation) -> Iterable[str]:
    model, reading = explanation.model, explanation.reading
    features = dict.fromkeys(name for view in explanation.views for name in view.features)
    values = ", ".join(f"{name} {_text(reading.get(name))}" for name in features)
    yield f"{model.name} {model.key} {reading[model.key]}, {_moment(reading[model.event_time])}"
    yield f"reading:    {values}"
    yield f"production: {_production(explanation.prediction)}"
    label = explanation.label
    if label is None:
        yield "label:      none was told yet"
    else:
        told = _moment(label[model.labels.time])
        yield f"label:      {_text(label[model.labels.label])}, told {told}"


def _production(prediction: Row | None) -> str:
    if prediction is None:
        return "it was not scored"
    score = f", score {prediction['score']:.4f}" if prediction.get("score") is not None else ""
    said = _text(prediction["prediction"])
    return f"version {prediction['model_version']} said {said}{score}"


def _table(explanation: Explanation) -> list[list[str]]:
    views = explanation.views
    names = list(dict.fromkeys(name for view in views for name in view.features))
    kinds = dict.fromkeys(view.explained for view in views)
    word = next(iter(kinds)) if len(kinds) == 1 else "probability of the call"
    return [
        ["", *(f"version {view.version}" for view in views)],
        ["", *(", ".join(view.roles) for view in views)],
        ["call", *(_text(view.call) for view in views)],
        [word, *(f"{view.output:.4f}" for view in views)],
        ["mean of baseline", *(f"{view.shares.empty:.4f}" for view in views)],
        *([f"  {name} added", *(_added(view, name) for view in views)] for name in names),
        *([f"call changes at {name}", *(_border(view, name) for view in views)] for name in names),
    ]


def _added(view: View, name: str) -> str:
    if name not in view.features:
        return "not read"
    place = view.features.index(name)
    error = "" if view.shares.errors is None else f" ± {view.shares.errors[place]:.4f}"
    return f"{view.shares.added[place]:+.4f}{error}"


def _border(view: View, name: str) -> str:
    if name not in view.features:
        return "not read"
    border = view.borders[name]
    if border is None:
        return "nowhere"
    mark = f" {_NEAREST}" if border == nearest(view.borders) else ""
    return f"{_text(border.value)} ({_share(border)}){mark}"


def _share(border: Border) -> str:
    return f"{border.between:.0%}"


def _notes(views: Sequence[View]) -> Iterable[str]:
    rows = ", ".join(f"{view.background} of version {view.version}" for view in views)
    yield f"Means and borders are over rows of each version's baseline: {rows}."
    if any(view.shares.errors is not None for view in views):
        yield "± is the standard error of values that were sampled."
    yield (
        f"In brackets: rows between the value and the border. {_NEAREST} is the nearest. "
        "Each border moves one feature alone."
    )


def _aligned(table: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    ]


def _moment(moment: Any) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _text(value: Any) -> str:
    if value is None:
        return "missing"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
