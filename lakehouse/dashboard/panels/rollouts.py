"""Rollouts: how did champion and challenger do side by side, and what came of it?"""

import math
from collections.abc import Sequence

from markupsafe import Markup

from lakehouse.dashboard.markup import element
from lakehouse.dashboard.panels import Panel, nothing, stories
from lakehouse.dashboard.rows import ModelAnswers, Row
from lakehouse.dashboard.words import counted, moment, number, share

_STATES = {"finish": "it took over", "abort": "the champion stayed"}


def rollouts(model: ModelAnswers) -> Panel:
    """The rollouts, the newest first."""
    by_id: dict[str, list[Row]] = {}
    for row in model.rows("rollouts"):
        by_id.setdefault(row["rollout_id"], []).append(row)
    articles = [_article(rows) for rows in reversed(by_id.values())]
    return Panel(
        "rollouts",
        "How did a challenger do beside the champion?",
        "The newest first. Intervals hold at all looks at once (95 %).",
        stories(articles) if articles else nothing("No version has been rolled out."),
        "rollouts",
    )


def _article(rows: Sequence[Row]) -> Markup:
    """One rollout: its newest step that has figures, and what came of it."""
    first, last = rows[0], rows[-1]
    challenger = next(row["model_version"] for row in rows if row["side"] == "challenger")
    told = [row for row in rows if row["n_labelled"]][-2:]
    state = _STATES.get(last["action"], f"it answers {share(last['share'])} of the keys")
    began = f"{last['strategy']} since {moment(first['as_of'])}: {state}"
    return element(
        "article",
        element("h3", f"v{challenger}", element("span", moment(last["as_of"]))),
        element("p", f"{began[0].upper()}{began[1:]}."),
        *(element("p", _side(row)) for row in told),
        element("p", _evidence(told[-1])) if told else None,
        element("details", element("summary", "The step in words"), element("p", last["reason"])),
        class_="story",
    )


def _side(row: Row) -> str:
    rows = counted(row["n_labelled"], "labelled row")
    interval = f"{share(row['accuracy_low'])} to {share(row['accuracy_high'])}"
    right = f"right on {share(row['accuracy'])} of {rows}, {interval}"
    cost = row["cost_per_thousand"]
    money = "" if cost is None else f"; {number(cost)} in money for a thousand rows"
    return f"The {row['side']}, v{row['model_version']}: {right}{money}."


def _evidence(row: Row) -> str:
    """How far the evidence is, where a verdict needs one over its error rate."""
    needed = f"{number(math.exp(row['needed_better']))} for better"
    better, worse = (f"e^{row[name]:.1f}" for name in ("log_better", "log_worse"))
    return f"Evidence {better} that it is better, {needed} needed; {worse} that it is worse."
