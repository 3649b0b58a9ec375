"""What happened: each drift, when it was noticed and mended, and the accuracy with and without the loop."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from lakehouse.estimators import probabilities
from lakehouse.glassware.oracle import RegimeFacts, regimes
from lakehouse.glassware.stream import Stream
from lakehouse.stations.lakehouse import Lakehouse
from lakehouse.stations.promotion import PROMOTE, load_promoted
from lakehouse.steps.decide import RETRAIN
from lakehouse.steps.retrain import features_of

_TEN_DAYS = pd.Timedelta(days=10)


@dataclass(frozen=True)
class Story:
    """What the report tells.

    Attributes:
        pieces: labelled production predictions, in order of time: `time`, `right`, and `right_without`, had the first
            model stayed.
        promotions: as-of and version of each.
        noticed: as-of of each alarm.
        regimes: the truth, which the lakehouse itself never sees.
    """

    pieces: pd.DataFrame
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
    """Reads the story from the tables of the lakehouse."""
    catalog, store = lakehouse.catalog, lakehouse.store
    promotions = store.rows(catalog.promotion, pc.field("action") == PROMOTE, ["as_of", "to_version"])
    alarms = store.rows(catalog.decision, pc.field("action") == RETRAIN, ["as_of"])
    moves = sorted((pd.Timestamp(row["as_of"]), row["to_version"]) for row in promotions)
    return Story(
        pieces=_pieces(lakehouse, moves[0][1] if moves else None),
        promotions=moves,
        noticed=sorted(pd.Timestamp(row["as_of"]) for row in alarms),
        regimes=regimes(stream.scenario, stream.pieces, stream.period),
    )


def drifts_of(story: Story) -> list[Drift]:
    """Each change of the rule that labelled pieces have lived to see."""
    last = story.pieces["time"].max()
    ends = [*(pd.Timestamp(each.starts) for each in story.regimes[1:]), last + pd.Timedelta(days=1)]
    spans = list(zip(story.regimes, ends, strict=True))[1:]
    return [_drift(story, regime, end) for regime, end in spans if pd.Timestamp(regime.starts) <= last]


def as_table(drifts: list[Drift]) -> str:
    """The drifts as a table of text."""
    columns = ("change", "began", "noticed", "promoted", "before", "during", "after", "without", "best possible")
    rows = [
        (
            drift.name,
            f"{drift.began:%m-%d %H:%M}",
            f"{drift.noticed:%m-%d}" if drift.noticed else "never",
            f"{drift.promoted:%m-%d}" if drift.promoted else "never",
            *(
                f"{share:.3f}"
                for share in (drift.before, drift.during, drift.after, drift.without, drift.noise_ceiling)
            ),
        )
        for drift in drifts
    ]
    widths = [max(len(row[place]) for row in [columns, *rows]) for place in range(len(columns))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [columns, *rows]]
    return "\n".join(line.rstrip() for line in lines)


def _drift(story: Story, regime: RegimeFacts, end: pd.Timestamp) -> Drift:
    began = pd.Timestamp(regime.starts)
    noticed = next((moment for moment in story.noticed if began < moment), None)
    noticed = noticed if noticed is not None and noticed <= end + pd.Timedelta(days=3) else None
    promoted = next((moment for moment, _ in story.promotions if noticed is not None and moment >= noticed), None)
    mended = promoted if promoted is not None else end
    return Drift(
        name=regime.name,
        began=began,
        noticed=noticed,
        promoted=promoted,
        before=_accuracy(story, began - _TEN_DAYS, began),
        during=_accuracy(story, began, mended),
        after=_accuracy(story, mended, end),
        without=_accuracy(story, began, end, "right_without"),
        noise_ceiling=regime.noise_ceiling,
    )


def _accuracy(story: Story, start: pd.Timestamp, end: pd.Timestamp, column: str = "right") -> float:
    times = story.pieces["time"]
    return float(story.pieces.loc[(times >= start) & (times < end), column].mean())


def _pieces(lakehouse: Lakehouse, first: str | None) -> pd.DataFrame:
    """Labelled predictions, and beside them what the first model would have predicted."""
    model, catalog, store = lakehouse.model, lakehouse.catalog, lakehouse.store
    labels = store.read(catalog.labels).select(model.key, model.labels.label)
    joined = store.read(catalog.predictions).join(labels, model.key).orderBy(model.event_time)
    rows = joined.drop("probability").toArrow().to_pandas()
    truth = rows[model.labels.label]
    return pd.DataFrame(
        {
            "time": rows[model.event_time].astype("datetime64[us, UTC]"),
            "right": (rows["prediction"] == truth).astype(float),
            "right_without": (_predicted_by(lakehouse, first, rows) == truth.to_numpy()).astype(float),
        }
    )


def _predicted_by(lakehouse: Lakehouse, version: str | None, rows: pd.DataFrame) -> np.ndarray:
    classes = lakehouse.model.classes
    if version is None:
        return np.array([])
    model = load_promoted(lakehouse, lakehouse.registry.version(version))
    found = probabilities(model, rows[features_of(lakehouse.model).names], len(classes))
    return np.array(classes)[found.argmax(axis=1)]


def daily(story: Story) -> pd.DataFrame:
    """The mean of `right` and `right_without` of each day."""
    days = story.pieces["time"].dt.floor("D")
    return story.pieces.groupby(days)[["right", "right_without"]].mean()
