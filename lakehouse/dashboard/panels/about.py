"""About: what is measured, and what each figure means."""

import json
from typing import Any

from lakehouse.dashboard.markup import element
from lakehouse.dashboard.panels import Panel, nothing
from lakehouse.dashboard.panels.value import facts
from lakehouse.dashboard.rows import ModelAnswers
from lakehouse.dashboard.words import cell
from lakehouse.drift.definition import LARGE, UNLIKELY

_MEANINGS = {
    "needs somebody": "gold.open_alarms has a row of the model.",
    "final": "No more labels can come for that day within the label horizon.",
    "accuracy": "Share of labelled predictions that were right; 95 % interval by Wilson. A "
    "regression's is within its tolerance.",
    "first model, left alone": "The first promoted version, asked for the same rows.",
    "trained each midnight": "A model trained on the newest labels each midnight, asked for the "
    "same rows.",
    "errors avoided": "Errors of the alternative less those of the versions in production.",
    "evidence": "Logarithm of the Shiryaev-Roberts statistic of labelled errors: it errs more "
    "often than expected.",
    "change": "The most probable moment of the change, with its 90 % credible interval.",
    "drifted": f"Distance of {LARGE} or more from the training data, and an adjusted p-value below "
    f"{UNLIKELY}.",
    "label batch": "The newest label time that had landed; the wall clock decides nothing.",
}


def about(model: ModelAnswers) -> list[Panel]:
    """The panels of the page."""
    return [_measured(model), _meanings()]


def _measured(model: ModelAnswers) -> Panel:
    rows = model.rows("monitor")
    if not rows:
        body = nothing("Nothing is measured before the first version is in production.")
    else:
        body = facts(_entries(json.loads(rows[-1]["configuration"]), rows[-1]["monitor_version"]))
    return Panel(
        "measured",
        f"What is measured of {model.name}?",
        "",
        body,
        "monitor",
        ("monitor_version", "recorded_at", "configuration"),
    )


def _entries(configuration: dict[str, Any], version: int) -> dict[str, str]:
    predicts = configuration.get("predicts", {})
    return {
        "Kind": cell(predicts.get("problem_type")),
        "Classes": ", ".join(map(str, predicts.get("classes") or ())) or "a number",
        "Columns": ", ".join(sorted(configuration.get("edges", {}))) or "none yet",
        "Windows": ", ".join(configuration.get("granularities", ())),
        "Slices": ", ".join(map(str, configuration.get("slices", ()))) or "none",
        "Metrics' version": cell(version),
    }


def _meanings() -> Panel:
    words = (
        element("div", element("dt", name), element("dd", text)) for name, text in _MEANINGS.items()
    )
    return Panel("meanings", "What do the words mean?", "", element("dl", *words, class_="words"))
