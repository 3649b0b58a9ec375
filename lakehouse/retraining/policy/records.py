"""What the policy knows: counts from gold, labelled rows, each version's record, and which rows a
model is fit on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from lakehouse.models import Classification, Problem
from lakehouse.models.expected_error.spline_logistic import SplineLogistic

_TWO_CLASSES = Classification((0, 1), 1)
MOST_REGIONS, MOST_STRETCHES = 64, 32
"""Contradicted regions, and stretches of time, that a row rule keeps: some 9 kB of JSON with two
features to a region."""


@dataclass(frozen=True)
class BinCounts:
    """Labelled predictions of versions that were not trained on them; a place per hour × version ×
    error bin.

    Attributes:
        hour: start of the hour, event time, datetime64.
        version: registered version that predicted, a whole number.
        bin: kind of the prediction × number of error bins + error bin of the prediction under that
            version.
        labelled: rows whose label has come.
        wrong: how many of them the version got wrong.
    """

    hour: np.ndarray
    version: np.ndarray
    bin: np.ndarray
    labelled: np.ndarray
    wrong: np.ndarray

    def take(self, where: np.ndarray) -> "BinCounts":
        """The places of this mask."""
        columns = (self.hour, self.version, self.bin, self.labelled, self.wrong)
        return BinCounts(*(column[where] for column in columns))


@dataclass(frozen=True)
class Rows:
    """Labelled rows, in order of event time.

    Attributes:
        names: the features.
        features: rows × features; numbers, NaN where missing, text as one column per value.
        labels: each label as the problem has it: a class code, or a number.
        event_time: event time, datetime64.
        label_time: when the label came, datetime64.
        problem: what the labels are of.
    """

    names: tuple[str, ...]
    features: np.ndarray
    labels: np.ndarray
    event_time: np.ndarray
    label_time: np.ndarray
    problem: Problem = _TWO_CLASSES

    def __len__(self) -> int:
        return len(self.labels)

    def only(self, names: tuple[str, ...]) -> "Rows":
        """The rows with these features alone."""
        columns = [self.names.index(name) for name in names]
        return replace(self, names=names, features=self.features[:, columns])

    def take(self, where: np.ndarray | slice) -> "Rows":
        """The rows at these places, or of this mask."""
        return Rows(
            self.names,
            self.features[where],
            self.labels[where],
            self.event_time[where],
            self.label_time[where],
            self.problem,
        )

    def wrong(self, predictions: np.ndarray) -> np.ndarray:
        """Return which of the predictions, one for each row, are wrong."""
        return ~self.problem.is_right(predictions, self.labels)


@dataclass(frozen=True)
class Region:
    """A box of features, and the kind of label that is not true in it any more.

    Attributes:
        sides: feature, low, high; infinite where open. A row lies in the box where low < value <=
            high for each.
        code: of the kind; all numbers are of one.
    """

    sides: tuple[tuple[str, float, float], ...]
    code: int

    def is_of(self, rows: "Rows") -> bool:
        """Return whether the rows have all of its features."""
        return all(name in rows.names for name, _, _ in self.sides)

    def box(self, rows: "Rows") -> np.ndarray:
        """Return which rows lie in the box; one whose value is missing does not."""
        inside = np.ones(len(rows), dtype=bool)
        for name, low, high in self.sides:
            column = rows.features[:, rows.names.index(name)]
            inside &= (column > low) & (column <= high)
        return inside

    def contradicts(self, rows: "Rows") -> np.ndarray:
        """Return which rows lie in the box and have a label of the kind."""
        return self.box(rows) & (rows.problem.kind_of(rows.labels) == self.code)


@dataclass(frozen=True)
class Errors:
    """How often a version erred in cross-fitting, by kind of prediction and error bin.

    Attributes:
        judged: rows, a place per kind of the prediction × number of error bins + error bin of
            the prediction.
        wrong: how many of them it got wrong, likewise.
    """

    judged: np.ndarray
    wrong: np.ndarray


@dataclass(frozen=True)
class Segment:
    """Rows of a stretch of time, but for those in regions that later rows contradict.

    Attributes:
        start: event time of the first row; None from the beginning.
        end: event time before which they lie; None up to the newest.
        without: regions whose rows are left out.
    """

    start: np.datetime64 | None
    end: np.datetime64 | None = None
    without: tuple[Region, ...] = ()

    def mask(self, rows: Rows) -> np.ndarray:
        """Return which of the rows it takes."""
        taken = np.ones(len(rows), dtype=bool)
        if self.start is not None:
            taken &= rows.event_time >= self.start
        if self.end is not None:
            taken &= rows.event_time < self.end
        for region in self.without:
            taken &= ~region.contradicts(rows)
        return taken


@dataclass(frozen=True)
class RowRule:
    """The rows that a model is fit on, as a rule instead of a copy: stretches of time without
    contradicted regions.
    """

    segments: tuple[Segment, ...]

    def mask(self, rows: Rows) -> np.ndarray:
        """Return which of the rows it takes."""
        return np.logical_or.reduce([segment.mask(rows) for segment in self.segments])

    def thinned(self, rows: Rows) -> np.ndarray:
        """Return which rows lie where contradicted labels were left out.

        A row that is left there has a label of another kind: it agrees with the model because it
        was selected so, and says nothing of how often the model errs.
        """
        found = np.zeros(len(rows), dtype=bool)
        for segment in self.segments:
            whole = replace(segment, without=()).mask(rows)
            for region in segment.without:
                found |= whole & region.box(rows)
        return found

    def bounded(self) -> "RowRule":
        """Return the rule without its oldest stretches, if it has more than `MOST_REGIONS` regions
        or `MOST_STRETCHES` stretches.

        So a record has a greatest size, however often the rule of a process has changed.
        """
        kept = list(self.segments[-MOST_STRETCHES:])
        while len(kept) > 1 and sum(len(segment.without) for segment in kept) > MOST_REGIONS:
            kept.pop(0)
        return RowRule(tuple(kept))

    @property
    def end(self) -> np.datetime64:
        """Event time before which all its rows lie; it is known of an archived row rule only."""
        ends = [segment.end for segment in self.segments]
        return max(end for end in ends if end is not None)

    def until(self, end: np.datetime64) -> "RowRule":
        """The same without what came at `end` or after."""
        kept = [
            segment for segment in self.segments if segment.start is None or segment.start < end
        ]
        return RowRule(
            tuple(replace(s, end=end if s.end is None else min(s.end, end)) for s in kept)
        )

    def without(self, regions: tuple[Region, ...]) -> "RowRule":
        """The same without the rows in the regions."""
        return RowRule(
            tuple(
                replace(segment, without=(*segment.without, *regions)) for segment in self.segments
            )
        )

    def plus(self, segment: Segment) -> "RowRule":
        """The same and one more segment."""
        return RowRule((*self.segments, segment))


@dataclass(frozen=True)
class VersionRecord:
    """What is on record of a version: from its training, and from the promotion that last made it
    champion.

    Attributes:
        version: registered version, a whole number.
        as_of: newest label time that had landed when it was trained, or brought back.
        drift_period: as-of of the alarm whose change it answers; of the first training for a first
            model.
        changed_at: where that change began; None for a first model.
        row_rule: the rows that it was fit on, open towards the newest.
        reference: version in production at the alarm, which shows the change; None for a first
            model.
        since_change: rows since `changed_at` (all rows, without one) that had a label as of then.
        errors: on the rows that it was cross-fitted on.
        expected_error: model of what is hard for it.
    """

    version: int
    as_of: np.datetime64
    drift_period: np.datetime64
    changed_at: np.datetime64 | None
    row_rule: RowRule
    reference: int | None
    since_change: int
    errors: Errors
    expected_error: SplineLogistic


Records = Mapping[int, VersionRecord]
