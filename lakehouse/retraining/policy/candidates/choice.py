"""On which rows may the next model be trained? Candidates, and the choice among them by
cross-fitting.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from lakehouse.retraining.policy.candidates.moving import (
    AGAIN,
    BEGINS,
    GIVES_UP,
    GOES_ON,
    motion,
    moving_regions,
)
from lakehouse.retraining.policy.candidates.regions import contradicted
from lakehouse.retraining.policy.decide import REFRESH, Decision
from lakehouse.retraining.policy.detection.detect import RETURNED
from lakehouse.retraining.policy.gate import compare
from lakehouse.retraining.policy.records import Records, RowRule, Rows, Segment, VersionRecord
from lakehouse.settings import CandidateSettings

FOLDS = 5
_THIRD, _QUARTER = 3, 4
EVERYTHING = RowRule((Segment(None),))


class Model(Protocol):
    """What a fit gives."""

    def predict(self, features: np.ndarray) -> np.ndarray:
        """The prediction for each row."""


Learner = Callable[[np.ndarray, np.ndarray, np.ndarray], Model]
"""Fits a model to features, labels as the problem has them, and weights (above zero)."""


@dataclass(frozen=True)
class Candidate:
    """Rows that a model may be fit on, or an archived version that may come back as it is.

    Attributes:
        name: unique in a training.
        old: row rule of rows from before the change; None for none.
        reference: version whose predictions, where new rows contradict them, tell which old rows to
            leave out; None for none.
        start: from when on rows count as new; None for all.
        weight: of a new row; an old one weighs one.
        version: the archived version that comes back without training; None for a training.
        moving: how sure it must be that the change goes on (z of `motion`); None for a change that
            is over.
        goes_on: whether the champion follows that change already.
        compared_from: event time from which on it is compared with others; None for `start`.
    """

    name: str
    old: RowRule | None = None
    reference: int | None = None
    start: np.datetime64 | None = None
    weight: float = 1.0
    version: int | None = None
    moving: float | None = None
    goes_on: bool = False
    compared_from: np.datetime64 | None = None

    @property
    def comparable(self) -> np.datetime64 | None:
        """From when on it is compared with others."""
        return self.start if self.compared_from is None else self.compared_from


@dataclass(frozen=True)
class Fitted:
    """A candidate after cross-fitting.

    Attributes:
        candidate: which.
        row_rule: the rows that it takes, as a rule.
        weights: of all rows; zero for those not taken.
        predictions: out-of-fold prediction for each row that it takes and for each judged row.
        asked: mask of the rows that it has a prediction for.
        by_fold: for each fold, the weights of all rows without it: zero for its own; none of an
            archived version.
        by_version: by version that a candidate names, what it predicts for each row.
    """

    candidate: Candidate
    row_rule: RowRule
    weights: np.ndarray
    predictions: np.ndarray
    asked: np.ndarray
    by_fold: tuple[np.ndarray, ...] = ()
    by_version: Mapping[int, np.ndarray] = field(default_factory=dict)


def candidates_of(
    decision: Decision,
    champion: VersionRecord | None,
    archive: Mapping[int, RowRule],
    newest: np.datetime64,
    since: int,
    settings: CandidateSettings,
) -> list[Candidate]:
    """Return the candidates to try, preferred ones first.

    Args:
        decision: that asked for the training.
        champion: record of the version in production; None before the first.
        archive: the last champion of each earlier drift period with its row rule up to the change
            that ended it, oldest first.
        newest: event time of the newest labelled row.
        since: labelled rows since the change; few of them are not enough alone.
        settings: of the candidates.
    """
    start = decision.change_at
    if champion is None and start is not None:
        # The champion is of an older release: no rule for its rows is on record.
        return [Candidate("since_change", start=start)]
    if settings.rows == "newest" and champion is not None:
        return [Candidate("newest", start=newest - np.timedelta64(settings.newest))]
    if start is None or champion is None or settings.rows == "everything":
        return [Candidate("everything")]
    row_rules = dict(archive)
    # After a new change the champion's own old rows count. A refresh still answers the old change,
    # so it keeps to the version from before that one.
    reference = champion.reference
    if decision.action != REFRESH or reference is None:
        reference = champion.version
        row_rules[reference] = champion.row_rule.until(start)
    others = [version for version in row_rules if version != reference][::-1][: settings.archived]
    found = [
        _transfer(version, row_rules[version], start, settings.new_weight)
        for version in (reference, *others)
    ]
    # The order is one of merit: `choose` takes the first unless a later one is credibly better.
    found = _moving(champion, reference, row_rules, newest, settings) + found
    if decision.action != REFRESH:
        found += [
            Candidate(f"version {version}", start=start, version=version) for version in others
        ]
        # The sort is stable: only what the evidence speaks for moves to the front.
        found.sort(key=lambda each: not _is_back(each, decision))
    if since >= settings.least_rows:
        found.append(Candidate("since_change", start=start))
    return found


def named_versions(candidates: Iterable[Candidate]) -> frozenset[int]:
    """Return the versions whose predictions the candidates are cross-fitted with."""
    named = {version for each in candidates for version in (each.reference, each.version)}
    return frozenset(version for version in named if version is not None)


def recalled(
    archive: Mapping[int, RowRule],
    champion: VersionRecord,
    records: Records,
    settings: CandidateSettings,
) -> list[int]:
    """The archived versions whose return is looked for: the newest of drift periods that are over,
    the newest first.
    """
    over = [
        version for version in archive if records[version].drift_period != champion.drift_period
    ]
    return over[::-1][: settings.archived]


def _is_back(candidate: Candidate, decision: Decision) -> bool:
    """Return whether it builds upon the archived version that the evidence speaks for."""
    back = decision.evidence.get(RETURNED)
    return (
        back is not None
        and back in (candidate.version, candidate.reference)
        and candidate.moving is None
    )


def _transfer(version: int, row_rule: RowRule, start: np.datetime64, weight: float) -> Candidate:
    """The version's old rows but for those that the new ones contradict, and the new ones."""
    return Candidate(f"transfer from {version}", row_rule, version, start, weight)


def _moving(
    champion: VersionRecord,
    reference: int,
    row_rules: Mapping[int, RowRule],
    newest: np.datetime64,
    settings: CandidateSettings,
) -> list[Candidate]:
    """Return what follows a change that is still going on: told by the champion from before it
    began, on the newest rows.

    It goes first where the change is sure to go on, since nobody else knows where it will have got
    to; it is compared on the newest quarter of the stretch, as older rows speak for where it was. A
    champion that follows a change goes on to do so on less evidence, through later alarms too.
    """
    if settings.moving is None:
        return []
    span = np.timedelta64(settings.moving)
    version = next(
        (each for each, row_rule in row_rules.items() if row_rule.end > newest - span), reference
    )
    goes_on = champion.row_rule.is_moving
    if goes_on and champion.reference in row_rules:
        version = champion.reference or version
    start = max(row_rules[version].end, newest - span)
    if newest - start < span / _THIRD:
        return []
    least = GOES_ON if goes_on else (BEGINS if version == reference else AGAIN)
    compared_from = max(start, newest - span / _QUARTER)
    name = f"moving from {version}"
    old = row_rules[version]
    return [
        Candidate(
            name, old, version, start, moving=least, goes_on=goes_on, compared_from=compared_from
        )
    ]


def row_rule_of(
    candidate: Candidate,
    rows: Rows,
    predictions: np.ndarray | None,
    kept: np.ndarray,
    forecast: bool = True,
) -> tuple[RowRule, np.ndarray]:
    """The candidate's row rule and the rows' weights, where only the kept rows may say what is
    contradicted.

    Args:
        candidate: which.
        rows: all that may be taken.
        predictions: what the reference predicts for them; None without one.
        kept: mask of rows.
        forecast: whether a change that goes on is looked for where it will be, or where it is.
    """
    new = Segment(candidate.start)
    if candidate.old is None:
        row_rule = RowRule((new,))
        return row_rule, row_rule.mask(rows).astype(float)
    old, is_new = candidate.old, new.mask(rows)
    if predictions is not None:
        tell = is_new & kept
        if candidate.moving is not None:
            found = moving_regions(rows.take(tell), predictions[tell], forecast)
            row_rule = old.plus(new).without(found)
            return row_rule, row_rule.mask(rows).astype(float)
        regions = contradicted(rows.take(tell), predictions[tell])
        old = old.without(regions) if regions else old
    return old.plus(new), np.where(is_new, candidate.weight, old.mask(rows).astype(float))


def fold_of(rows: int) -> np.ndarray:
    """The fold of each row: they go round in order of time, which is the same at each replay."""
    return np.arange(rows) % FOLDS


def weights_by_fold(
    candidate: Candidate, rows: Rows, predictions: np.ndarray | None
) -> tuple[np.ndarray, ...]:
    """For each fold the rows' weights without it: zero for its own.

    What is contradicted is found anew for each, so that it too has not seen the fold's rows. One
    that begins to follow a change has to prove its forecast, lest a change that is over be
    followed; one that goes on is taken as of the newest row, since rows of the past cannot say how
    good a forecast is.

    Args:
        candidate: what is tried.
        rows: all that may be taken.
        predictions: what the reference predicts for them; None without one.
    """
    fold = fold_of(len(rows))
    forecast = not candidate.goes_on
    found = [
        row_rule_of(candidate, rows, predictions, fold != out, forecast)[1] for out in range(FOLDS)
    ]
    return tuple(np.where(fold == out, 0.0, weights) for out, weights in enumerate(found))


def cross_fit(
    candidate: Candidate,
    rows: Rows,
    judged: np.ndarray,
    predictions: Mapping[int, np.ndarray],
    learner: Learner,
) -> Fitted | None:
    """Call each row that the candidate takes, and each judged one, by a model that has not seen
    it.

    Args:
        candidate: what is tried.
        rows: all that may be taken.
        judged: mask of the rows that candidates are compared on.
        predictions: what the versions that candidates name predict of the rows.
        learner: fits a model.

    Returns:
        None where a fold leaves fewer than two different labels to fit on, or where the change is
        not sure to go on.
    """
    everything = np.ones(len(rows), dtype=bool)
    if candidate.version is not None:
        own = predictions[candidate.version]
        return Fitted(
            candidate, EVERYTHING, everything.astype(float), own, judged, by_version=predictions
        )
    reference = None if candidate.reference is None else predictions[candidate.reference]
    if candidate.moving is not None and reference is not None:
        new = Segment(candidate.start).mask(rows)
        if motion(rows.take(new), reference[new]) < candidate.moving:
            return None
    row_rule, weights = row_rule_of(candidate, rows, reference, everything)
    fold, by_fold = fold_of(len(rows)), weights_by_fold(candidate, rows, reference)
    found, every = rows.problem.unknown(len(rows)), (weights > 0) | judged
    for out, kept in enumerate(by_fold):
        fit_on = kept > 0
        asked = (fold == out) & every
        if len(np.unique(rows.labels[fit_on])) < 2:
            return None
        if asked.any():
            model = learner(rows.features[fit_on], rows.labels[fit_on], kept[fit_on])
            found[asked] = model.predict(rows.features[asked])
    return Fitted(candidate, row_rule, weights, found, every, by_fold, predictions)


def judged_at_gate(
    fitted: Fitted, rows: Rows, judged: np.ndarray, trained: np.datetime64
) -> np.ndarray:
    """Mask of the rows that a challenger is compared with the champion on: judged, and new to both.

    Of a candidate that follows a change which goes on, only the newest: older rows speak for where
    the rule was.

    Args:
        fitted: the challenger, cross-fitted.
        rows: all that may be taken.
        judged: mask of the rows that candidates are compared on.
        trained: newest label time that had landed when the champion was trained.
    """
    found = judged & (rows.label_time > trained) & fitted.asked
    newest = fitted.candidate.compared_from
    return found if newest is None else found & (rows.event_time >= newest)


def distinct_predictions(fitted: Fitted, judged: np.ndarray) -> int:
    """Count the different cross-fitted predictions for the judged rows."""
    return len(np.unique(fitted.predictions[judged & fitted.asked]))


def choose(
    fitted: Sequence[Fitted], rows: Rows, judged: np.ndarray, settings: CandidateSettings
) -> Fitted:
    """The first, unless a later one is better on the judged rows with the preference's probability,
    and so on.

    The order is by what usually is best, so that few rows do not choose by chance: with an even
    choice of five, the luckiest is taken, which costs more than it gains. One that goes on to
    follow a change is given up on more evidence, as the judged rows do not know where the change
    will have got to. One that predicts the same for all rows is taken only where all do: the gate
    would refuse it.
    """
    chosen, *others = [each for each in fitted if distinct_predictions(each, judged) > 1] or list(
        fitted
    )
    for other in others:
        starts = [
            start for each in (chosen, other) if (start := each.candidate.comparable) is not None
        ]
        on = judged & (rows.event_time >= max(starts)) if starts else judged
        found = compare(
            rows.problem, rows.labels[on], chosen.predictions[on], other.predictions[on]
        )
        needed = (
            max(settings.preference, GIVES_UP) if chosen.candidate.goes_on else settings.preference
        )
        chosen = other if found.better > needed else chosen
    return chosen
