"""Which kind of drift is it, since when, where, how sure, and what to do about it? In words for a
person.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lakehouse.drift.definition import UNLIKELY, has_drifted
from lakehouse.models.expected_error.expected_quality import ErrorRates, difference
from lakehouse.profiling.columns import text_of
from lakehouse.retraining.policy.candidates.regions import contradicted
from lakehouse.retraining.policy.detection.detect import Detection
from lakehouse.retraining.policy.records import BinCounts, Region, Rows, VersionRecord
from lakehouse.settings import Scalar

CONCEPT, FEATURE, LABEL, PREDICTION = "concept", "feature", "label", "prediction"
_NULL_SHARE = 0.01
_OUTSIDE_SHARE = 0.01


@dataclass(frozen=True)
class ColumnDrift:
    """How far a column's newest windows are from what the champion was trained on.

    Attributes:
        column: its name.
        index: population stability index (numeric) or total variation distance (categorical); 0 is
            no drift.
        pvalue: of the test that goes with it, adjusted for the number of columns and windows.
        nulls: share of missing values beyond the baseline's, 0–1.
        nulls_pvalue: how likely so many more are by chance, adjusted likewise.
        outside: share of values that the champion was trained on none like: numbers outside its
            range, new categories.
        outside_pvalue: how likely so many are by chance, adjusted likewise.
        since: start of the first window of the present stretch of drift; None if there is none.
    """

    column: str
    index: float
    pvalue: float
    nulls: float = 0.0
    nulls_pvalue: float = 0.0
    outside: float = 0.0
    outside_pvalue: float = 0.0
    since: np.datetime64 | None = None

    @property
    def drifted(self) -> bool:
        """Whether the distribution has moved, by size and by test."""
        return has_drifted(self.index, self.pvalue)

    @property
    def suspect(self) -> bool:
        """Whether it looks like a fault of the sensor: values go missing."""
        return self.nulls > _NULL_SHARE and self.nulls_pvalue < UNLIKELY

    @property
    def beyond(self) -> bool:
        """Whether it leaves what the champion was trained on."""
        return self.outside > _OUTSIDE_SHARE and self.outside_pvalue < UNLIKELY

    @property
    def moved(self) -> bool:
        """Whether there is anything to tell of it."""
        return self.drifted or self.suspect or self.beyond


@dataclass(frozen=True)
class Shifts:
    """How far the columns are from what the champion was trained on.

    Attributes:
        features: drift of each feature.
        label: drift of the label; None where it is not known.
        prediction: drift of the prediction; None where it is not known.
    """

    features: Sequence[ColumnDrift] = ()
    label: ColumnDrift | None = None
    prediction: ColumnDrift | None = None


@dataclass(frozen=True)
class Diagnosis:
    """What has drifted.

    Attributes:
        kinds: of feature, label, prediction, concept; empty where nothing has.
        since: most probable beginning.
        between: 90 % credible interval of it.
        where: the features' region in words; empty where the whole range is concerned.
        confidence: probability of a change, 0–1, with one expected in ten thousand rows.
        sentences: for a person: what, since when, where, how sure.
        advice: what to do.
    """

    kinds: tuple[str, ...]
    since: np.datetime64 | None
    between: tuple[np.datetime64, np.datetime64] | None
    where: tuple[str, ...]
    confidence: float
    sentences: tuple[str, ...]
    advice: str


def diagnose(
    detection: Detection,
    log_alarm: float,
    shifts: Shifts,
    regions: Sequence[Region],
    kinds_of_labels: Sequence[Scalar],
    is_dated: bool = False,
) -> Diagnosis:
    """Tell the kinds of drift apart by which evidence moved.

    Concept: the champion errs more than its record allows (Shiryaev-Roberts). Feature: a column's
    distribution left its
    baseline. Label: the classes' shares did. Prediction: the predictions' shares did. They come
    together: a concept drift moves labels, a feature drift moves predictions; so what can be a
    cause comes
    first in the sentences.

    Args:
        detection: of errors.
        log_alarm: logarithm of the statistic above which a change is called one.
        shifts: of features, label and prediction.
        regions: where new labels contradict the champion.
        kinds_of_labels: by their codes.
        is_dated: whether the decision's own words say since when the rule has changed; then no
            sentence says it again.
    """
    label, prediction = shifts.label, shifts.prediction
    moved = [column for column in shifts.features if column.moved]
    is_concept = detection.log_statistic > log_alarm
    kinds = tuple(
        kind
        for kind, found in (
            (CONCEPT, is_concept),
            (FEATURE, bool(moved)),
            (LABEL, label is not None and label.drifted),
            (PREDICTION, prediction is not None and prediction.drifted),
        )
        if found
    )
    where = tuple(in_words(region, kinds_of_labels) for region in regions) if is_concept else ()
    since = (
        detection.change_at if is_concept else _first([*moved, *filter(None, (label, prediction))])
    )
    sentences = [_of_concept(detection, is_dated), *where] if is_concept else []
    sentences += map(_of_column, moved)
    sentences += [_of_shares("label", label)] if label and label.drifted else []
    sentences += [_of_shares("prediction", prediction)] if prediction and prediction.drifted else []
    return Diagnosis(
        kinds,
        since,
        detection.interval() if is_concept else None,
        where,
        probability_of_change(detection),
        tuple(sentences) or ("nothing has drifted",),
        _advice(is_concept, moved, kinds),
    )


def share_outside(quantiles: Sequence[float], least: float, greatest: float) -> float:
    """Share of values below `least` or above `greatest`, told by equidistant quantiles: to a
    thousandth with 1000.
    """
    values = np.asarray(quantiles)
    return float(((values < least) | (values > greatest)).mean())


def share_unseen(counts: Mapping[str, int], known: Collection[str]) -> float:
    """Share of values that are none of the known categories; 0 without values."""
    values = sum(counts.values())
    return (
        sum(count for value, count in counts.items() if value not in known) / values
        if values
        else 0.0
    )


def probability_of_change(detection: Detection, expected_every: float = 10_000.0) -> float:
    """Posterior probability that a change has begun, where one is expected in so many rows: R / (R
    + rows between).

    The Shiryaev-Roberts statistic is the limit of Shiryaev's posterior odds, divided by the rate of
    changes, as that rate goes to zero. Source: Shiryaev, Theory of Probability and Its Applications
    8 (1963).
    """
    return float(
        1 / (1 + np.exp(np.clip(np.log(expected_every) - detection.log_statistic, -700, 700)))
    )


def where_contradicted(
    rows: Rows, predictions: np.ndarray, since: np.datetime64
) -> tuple[Region, ...]:
    """The regions in which the rows since then contradict the champion's predictions."""
    new = rows.event_time >= since
    return contradicted(rows.take(new), predictions[new]) if new.any() else ()


def expectation_missed(counts: BinCounts, champion: VersionRecord) -> list[str]:
    """Say how the labels of the champion's own predictions differ from what it expected of those
    very rows; nothing where chance explains the difference, or nothing is labelled.
    """
    own = counts.take(counts.version == champion.version)
    size = len(champion.errors.judged)
    labelled, wrong = (
        np.bincount(own.bin, each, size).astype(int) for each in (own.labelled, own.wrong)
    )
    by_bin = dict(enumerate(zip(labelled.tolist(), wrong.tolist(), strict=True)))
    rates = ErrorRates(champion.errors.judged, champion.errors.wrong)
    found = difference(by_bin, rates)
    return [found.words] if found and found.is_beyond_chance else []


def in_words(region: Region, kinds: Sequence[Scalar]) -> str:
    """A region for a person: "temp between 351 and 354 is no longer 1"."""
    sides = sides_in_words(region.sides) or "everywhere, what was called so"
    return f"{sides} is no longer {text_of(kinds[region.code])}"


def sides_in_words(sides: Sequence[tuple[str, float, float]]) -> str:
    """A box of features for a person: "temp between 351 and 354"; empty for one without sides."""
    return " and ".join(_side(*side) for side in sides)


def _of_concept(detection: Detection, is_dated: bool) -> str:
    if is_dated:
        return "the rule has changed"
    between = detection.interval()
    span = f" (90 %: {_minute(between[0])} to {_minute(between[1])})" if between else ""
    return f"the rule has changed, most probably at {_minute(detection.change_at)}{span}"


def _of_column(column: ColumnDrift) -> str:
    what = (
        "has drifted"
        if column.drifted
        else "looks faulty"
        if column.suspect
        else "has values of a new kind"
    )
    words = [f"{column.column} {what}"]
    if column.since is not None:
        words.append(f"since {_minute(column.since)}")
    words.append(f"(index {column.index:.2f}, p {column.pvalue:.2g}")
    words[-1] += f", {column.nulls:.1%} more values missing" if column.suspect else ""
    words[-1] += (
        f", {column.outside:.1%} outside what the model has seen)" if column.beyond else ")"
    )
    return " ".join(words)


def _of_shares(name: str, column: ColumnDrift) -> str:
    return (
        f"the shares of the {name}'s classes have drifted (index {column.index:.2f}, p "
        f"{column.pvalue:.2g})"
    )


def _advice(is_concept: bool, moved: Sequence[ColumnDrift], kinds: Sequence[str]) -> str:
    faulty = [column.column for column in moved if column.suspect]
    beyond = [column.column for column in moved if column.beyond]
    if faulty:
        return f"investigate the sensor of {', '.join(faulty)}" + (
            "; a retraining bridges it" if is_concept else ""
        )
    if is_concept and moved:
        return f"retrain, and look for what moved {', '.join(column.column for column in moved)}"
    if is_concept:
        return "retrain"
    if beyond:
        return (
            f"watch: accuracy holds, but {', '.join(beyond)} leaves what the model has seen; "
            "retrain if it falls"
        )
    return "watch: accuracy holds; nothing to retrain for" if kinds else "nothing"


def _first(columns: Sequence[ColumnDrift]) -> np.datetime64 | None:
    return min(
        (
            column.since
            for column in columns
            if (column.drifted or column.beyond) and column.since is not None
        ),
        default=None,
    )


def _side(name: str, low: float, high: float) -> str:
    if "=" in name:  # a value of a feature that is not numeric, as 0 or 1
        return " is ".join(name.split("=", 1)) if low > 0 else " is not ".join(name.split("=", 1))
    if np.isinf(low):
        return f"{name} up to {high:.4g}"
    return (
        f"{name} above {low:.4g}" if np.isinf(high) else f"{name} between {low:.4g} and {high:.4g}"
    )


def _minute(moment: np.datetime64 | None) -> str:
    return (
        "an unknown time"
        if moment is None
        else str(moment.astype("datetime64[m]")).replace("T", " ")
    )
