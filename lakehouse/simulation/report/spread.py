"""The figure of the comparison: each run's regret above the oracle's, by scenario and policy."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np

from lakehouse.simulation.report.runs import Result, excesses

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

_DEFAULT, _OTHER = "#1b6ca8", "#b0b0b0"
_LEAST = 1.0


def draw(results: Sequence[Result], path: Path) -> None:
    """Write the figure as a PNG: a panel per scenario with an oracle, a point per run, on a
    logarithmic scale.
    """
    scenarios = list(dict.fromkeys(each.scenario for each in results if each.oracle > 0))
    if not scenarios:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    figure, panels = plt.subplots(
        1, len(scenarios), figsize=(3.2 * len(scenarios) + 1.5, 4), sharey=True, squeeze=False
    )
    for axes, scenario in zip(panels[0], scenarios, strict=True):
        _panel(axes, scenario, [each for each in results if each.scenario == scenario])
    panels[0][0].set_ylabel("expected errors above the oracle's, %")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _panel(axes: Axes, scenario: str, results: Sequence[Result]) -> None:
    policies = list(dict.fromkeys(each.policy for each in results))
    for place, policy in enumerate(policies):
        above = np.maximum(excesses(each for each in results if each.policy == policy), _LEAST)
        spots = place + np.linspace(-0.25, 0.25, len(above))
        color = _DEFAULT if policy == "default" else _OTHER
        axes.scatter(spots, above, s=8, color=color, alpha=0.6, lw=0)
        axes.hlines(np.median(above), place - 0.35, place + 0.35, color=color, lw=2)
    axes.set_yscale("log")
    axes.set_title(scenario, fontsize=10)
    axes.set_xticks(range(len(policies)), policies, rotation=60, ha="right", fontsize=8)
