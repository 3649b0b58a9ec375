"""Each drift, when it was noticed and mended, and the accuracy with and without the loop."""

from dataclasses import dataclass

import pandas as pd
import pyarrow.compute as pc

from lakehouse.alerts.notify import Notifier
from lakehouse.alerts.words import as_lines
from lakehouse.counterfactual.comparison import DAILY, NEVER
from lakehouse.glassware.pieces import Stream
from lakehouse.glassware.posterior import RegimeFacts, regimes
from lakehouse.labels.label_batch import labels_in_force
from lakehouse.retraining.policy.decide import RETRAIN
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.versions.actions import PROMOTE

_TEN_DAYS = pd.Timedelta(days=10)


@dataclass(frozen=True)
class Story:
    """What the report tells.

    Attributes:
        pieces: labelled production predictions, in order of time: `time`, `right`.
        alternatives: `n_labelled`, `n_right` and `n_right_otherwise` by day and alternative.
        promotions: as-of and version of each.
        noticed: as-of of each alarm.
        regimes: the truth, which the lakehouse itself never sees.
    """

    pieces: pd.DataFrame
    alternatives: pd.DataFrame
    promotions: list[tuple[pd.Timestamp, str]]
    noticed: list[pd.Timestamp]
    regimes: list[RegimeFacts]


@dataclass(frozen=True)
class Drift:
    """One change of the rule, and what the loop made of it; None for what did not come to pass."""

    name: str
    began: pd.Timestamp
    noticed: pd.Timestamp | None
    promoted: pd.Timestamp | None
    before: float
    during: float
    after: float
    without: float
    noise_ceiling: float


def story_of(lakehouse: Lakehouse, stream: Stream) -> Story:
    """Read the story from the tables of the lakehouse."""
    catalog, store = lakehouse.catalog, lakehouse.store
    promotions = store.rows(
        catalog.promotion, pc.field("action") == PROMOTE, ["as_of", "to_version"]
    )
    alarms = store.rows(catalog.decision, pc.field("action") == RETRAIN, ["as_of"])
    moves = sorted((pd.Timestamp(row["as_of"]), row["to_version"]) for row in promotions)
    return Story(
        pieces=_pieces(lakehouse),
        alternatives=_alternatives(lakehouse),
        promotions=moves,
        noticed=sorted(pd.Timestamp(row["as_of"]) for row in alarms),
        regimes=regimes(stream.scenario, stream.pieces, stream.period),
    )


def drifts_of(story: Story) -> list[Drift]:
    """Each change of the rule that labelled pieces have lived to see."""
    last = story.pieces["time"].max()
    ends = [
        *(pd.Timestamp(later.starts) for later in story.regimes[1:]),
        last + pd.Timedelta(days=1),
    ]
    spans = list(zip(story.regimes, ends, strict=True))[1:]
    return [
        _drift(story, regime, end) for regime, end in spans if pd.Timestamp(regime.starts) <= last
    ]


def as_table(drifts: list[Drift]) -> str:
    """The drifts as a table of text."""
    times = ["change", "began", "noticed", "promoted"]
    shares = ["before", "during", "after", "without", "best possible"]
    rows = [times + shares, *map(_cells, drifts)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _cells(drift: Drift) -> list[str]:
    """A drift's row of the table."""
    days = [f"{day:%m-%d}" if day else "never" for day in (drift.noticed, drift.promoted)]
    shares = (drift.before, drift.during, drift.after, drift.without, drift.noise_ceiling)
    return [drift.name, f"{drift.began:%m-%d %H:%M}", *days, *(f"{share:.3f}" for share in shares)]


def _drift(story: Story, regime: RegimeFacts, end: pd.Timestamp) -> Drift:
    began = pd.Timestamp(regime.starts)
    noticed = next((moment for moment in story.noticed if began < moment), None)
    noticed = noticed if noticed is not None and noticed <= end + pd.Timedelta(days=3) else None
    # No promotion answers a drift that nobody noticed.
    answers = [moment for moment, _ in story.promotions if noticed and moment >= noticed]
    promoted = next(iter(answers), None)
    mended = promoted if promoted is not None else end
    return Drift(
        name=regime.name,
        began=began,
        noticed=noticed,
        promoted=promoted,
        before=_accuracy(story, began - _TEN_DAYS, began),
        during=_accuracy(story, began, mended),
        after=_accuracy(story, mended, end),
        without=_without(story, began, end),
        noise_ceiling=regime.noise_ceiling,
    )


def _accuracy(story: Story, start: pd.Timestamp, end: pd.Timestamp) -> float:
    times = story.pieces["time"]
    return float(story.pieces.loc[(times >= start) & (times < end), "right"].mean())


def _without(story: Story, start: pd.Timestamp, end: pd.Timestamp) -> float:
    """Accuracy of the first model on the whole days between two moments."""
    never = alternative(story, NEVER)
    days = never[(never.index >= start.ceil("D")) & (never.index < end.floor("D"))]
    if len(days):
        return float(days["n_right_otherwise"].sum() / days["n_labelled"].sum())
    return float("nan")


def _pieces(lakehouse: Lakehouse) -> pd.DataFrame:
    """Labelled predictions."""
    model, catalog, store = lakehouse.model, lakehouse.catalog, lakehouse.store
    labels = labels_in_force(lakehouse).select(model.key, model.labels.label)
    predictions = store.read(catalog.predictions).select(model.key, model.event_time, "prediction")
    rows = predictions.join(labels, model.key).orderBy(model.event_time).toArrow().to_pandas()
    right = (rows["prediction"] == rows[model.labels.label]).astype(float)
    return pd.DataFrame(
        {"time": rows[model.event_time].astype("datetime64[us, UTC]"), "right": right}
    )


def _alternatives(lakehouse: Lakehouse) -> pd.DataFrame:
    columns = ["window_date", "alternative", "n_labelled", "n_right", "n_right_otherwise"]
    rows = lakehouse.store.arrow(lakehouse.catalog.counterfactual, columns=columns).to_pandas()
    rows["window_date"] = pd.to_datetime(rows["window_date"], utc=True)
    return rows.set_index(["window_date", "alternative"]).sort_index()


def alternative(story: Story, name: str) -> pd.DataFrame:
    """The days of one alternative for which it is known what it gets right, in order."""
    rows = story.alternatives
    own = rows[rows.index.get_level_values("alternative") == name].droplevel("alternative")
    return own.dropna(subset=["n_right_otherwise"])


def in_words(story: Story) -> str:
    """The accuracy of the loop and its alternatives, on pieces that no model was trained on."""
    never, daily = alternative(story, NEVER), alternative(story, DAILY)
    if never.empty:
        return "no label yet of a piece that the first model was not trained on"
    labelled = never["n_labelled"].sum()
    return (
        f"accuracy {never['n_right'].sum() / labelled:.3f}, "
        f"without retraining {never['n_right_otherwise'].sum() / labelled:.3f}, "
        f"retrained daily {daily['n_right_otherwise'].sum() / daily['n_labelled'].sum():.3f}"
    )


def daily_accuracy(story: Story) -> pd.Series:
    """The mean of `right` of each day."""
    days = story.pieces["time"].dt.floor("D")
    return story.pieces.groupby(days)["right"].mean()


def alerts_of(lakehouse: Lakehouse) -> list[str]:
    """A line for each alert that went out, or would have: a channel is all that it takes."""
    notifier = Notifier(lakehouse.store.root, lakehouse.model, lakehouse.catalog)
    return as_lines(notifier.history()) or ["none"]
