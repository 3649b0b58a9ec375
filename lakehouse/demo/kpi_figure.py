"""The demonstration's figure: daily accuracy with the loop, without it, and retrained daily."""

from pathlib import Path

import matplotlib as mpl
import pandas as pd

from lakehouse.counterfactual.comparison import DAILY, NEVER
from lakehouse.demo.report import Drift, Story, alternative, daily_accuracy, drifts_of

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.dates import DateFormatter

_LOOP, _REGIMES, _DELAY = "#1b6ca8", ("#f7f7f7", "#fdf1dc", "#e6f2e6", "#f3e6f2"), "#c0392b"
_ALTERNATIVES = (
    (NEVER, "#b0b0b0", "the first model, left alone"),
    (DAILY, "#e08e45", "a model trained each midnight"),
)
_NOON = pd.Timedelta(hours=12)


def draw(story: Story, path: Path, title: str) -> None:
    """Write the figure as a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure, axes = plt.subplots(figsize=(11, 4.6), dpi=110)
    _draw_regimes(axes, story)
    _draw_delays(axes, drifts_of(story))
    for name, color, label in _ALTERNATIVES:
        days = alternative(story, name)
        shares = days["n_right_otherwise"] / days["n_labelled"]
        axes.plot(days.index + _NOON, shares, color=color, lw=2, label=label)
    accuracy = daily_accuracy(story)
    axes.plot(
        accuracy.index + _NOON, accuracy, color=_LOOP, lw=2.2, marker="o", ms=3.5, label="the loop"
    )
    _draw_promotions(axes, story)
    axes.set(title=title, ylabel="accuracy of the day's pieces", ylim=(0.4, 1.03))
    axes.xaxis.set_major_formatter(DateFormatter("%b %d"))
    axes.legend(loc="lower left", frameon=False)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def _draw_regimes(axes: Axes, story: Story) -> None:
    starts = [pd.Timestamp(regime.starts) for regime in story.regimes]
    ends = [*starts[1:], story.pieces["time"].max()]
    for place, (regime, start, end) in enumerate(zip(story.regimes, starts, ends, strict=True)):
        if start < end:
            axes.axvspan(start, end, color=_REGIMES[place % len(_REGIMES)], zorder=0)
            axes.hlines(regime.noise_ceiling, start, end, color="black", lw=0.8, ls=":")
            axes.text(
                start + (end - start) / 2, 1.005, regime.name, ha="center", va="bottom", fontsize=9
            )


def _draw_delays(axes: Axes, drifts: list[Drift]) -> None:
    """From each change to the midnight of its first labels: nobody can notice it sooner."""
    for place, drift in enumerate(drifts):
        first_label = drift.began.floor("D") + pd.Timedelta(days=2)
        label = "waiting for the first label" if place == 0 else None
        axes.axvspan(
            drift.began,
            first_label,
            facecolor="none",
            edgecolor=_DELAY,
            hatch="///",
            alpha=0.35,
            lw=0,
            label=label,
        )


def _draw_promotions(axes: Axes, story: Story) -> None:
    for moment, version in story.promotions:
        axes.axvline(moment, color=_LOOP, lw=0.9, ls="--", alpha=0.7)
        axes.text(moment, 0.42, f" v{version}", color=_LOOP, fontsize=8, rotation=90, va="bottom")
