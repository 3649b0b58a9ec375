"""On which rows may the next model be trained? Candidates, and the choice among them by
cross-fitting.
"""

import datetime as dt
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lakehouse.retraining.policy.candidates.regions import contradicted
from lakehouse.retraining.policy.decide import REFRESH, Decision
from lakehouse.retraining.policy.gate import compare
from lakehouse.retraining.policy.records import RowRule, Rows, Segment, VersionRecord
from lakehouse.settings import CandidateSettings

FOLDS = 5
_STRETCHES = 2
"""Stretches of time that a fold is made of. One row of five in turn has its neighbours in the fit,
and on a recorded stream neighbours are alike: there five folds of two stretches gave 6 % fewer
errors and a fifth fewer trainings (docs/policy-evidence.md)."""
EVERYTHING = RowRule((Segment(None),))
_NEW_WEIGHT = 3.0
"""Of a row since the change, where an old one weighs one: an old row is true only as far as nothing
has contradicted it yet. Chosen by simulation of the glass works; not measured on other streams."""
_LEAST_NEW = 40
"""Rows since the change from which on they are tried alone; fewer say too little for a model.
Chosen on the glass works, not measured on other streams."""
_RETURN = 0.7
"""How probably an archived version must be better than the candidates before it. Less than others,
as it was fitted to none of the rows that it is compared on: their luck is not in its favour."""


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
        span: how far back from the newest row new rows go, in place of `start`; None for `start`.
        weight: of a new row; an old one weighs one.
        version: the archived version that comes back without training; None for a training.
    """

    name: str
    old: RowRule | None = None
    reference: int | None = None
    start: np.datetime64 | None = None
    span: np.timedelta64 | None = None
    weight: float = 1.0
    version: int | None = None


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
    """

    candidate: Candidate
    row_rule: RowRule
    weights: np.ndarray
    predictions: np.ndarray
    asked: np.ndarray
    by_fold: tuple[np.ndarray, ...] = ()


def candidates_of(
    decision: Decision,
    champion: VersionRecord | None,
    archive: Mapping[int, RowRule],
    since: int,
    settings: CandidateSettings,
) -> list[Candidate]:
    """Return the candidates to try, in the order of what usually is best.

    Args:
        decision: that asked for the training.
        champion: record of the version in production; None before the first.
        archive: the last champion of each earlier drift period with its row rule up to the change
            that ended it, oldest first.
        since: labelled rows since the change; few of them are not enough alone.
        settings: of the candidates.
    """
    start = decision.change_at
    if champion is None and start is not None:
        # The champion is of an older release: no rule for its rows is on record.
        return [Candidate("since_change", start=start)]
    windows = [
        Candidate(f"last {_in_days(span)}", span=np.timedelta64(span)) for span in settings.windows
    ]
    if settings.rows == "newest" and champion is not None:
        return windows[:1]
    everything = Candidate("everything")
    if champion is None or settings.rows == "everything":
        return [everything]
    if start is None:
        return [everything, *windows]
    new = [Candidate("since_change", start=start)] if since >= _LEAST_NEW else []
    if decision.action == REFRESH and champion.reference is not None:
        # A refresh still answers the old change, so it keeps to the version from before that one.
        # A version that came back is its own reference: its rows end where that change began.
        rules = {**archive, champion.version: champion.row_rule.until(start)}
        known = champion.reference if champion.reference in rules else champion.version
        return [_transfer(known, rules[known], start), *new, everything, *windows]
    # After a new change the champion's own old rows count.
    others = {version: rule for version, rule in archive.items() if version != champion.version}
    transfers = [
        _transfer(champion.version, champion.row_rule.until(start), start),
        *(_transfer(version, others[version], start) for version in reversed(others)),
    ]
    returns = [
        Candidate(f"version {version}", start=start, version=version)
        for version in reversed(others)
    ]
    return [*transfers, *returns, *new, everything, *windows]


def named_versions(candidates: Iterable[Candidate]) -> frozenset[int]:
    """Return the versions whose predictions the candidates are cross-fitted with."""
    named = {version for each in candidates for version in (each.reference, each.version)}
    return frozenset(version for version in named if version is not None)


def _transfer(version: int, row_rule: RowRule, start: np.datetime64) -> Candidate:
    """The version's old rows but for those that the new ones contradict, and the new ones."""
    return Candidate(f"transfer from {version}", row_rule, version, start, weight=_NEW_WEIGHT)


def _in_days(span: dt.timedelta) -> str:
    days = span / dt.timedelta(days=1)
    return f"{days:g} day" if days == 1 else f"{days:g} days"


def row_rule_of(
    candidate: Candidate, rows: Rows, predictions: np.ndarray | None, kept: np.ndarray
) -> tuple[RowRule, np.ndarray]:
    """Return the candidate's row rule and the rows' weights, where only the kept rows are known.

    Args:
        candidate: which.
        rows: all that may be taken, of which some are kept.
        predictions: what the reference predicts for them; None without one.
        kept: mask of rows that may say what is contradicted, and when "newest" is.
    """
    start = candidate.start
    if candidate.span is not None:
        start = rows.event_time[kept].max() - candidate.span
    new = Segment(start)
    if candidate.old is None:
        row_rule = RowRule((new,))
        return row_rule, row_rule.mask(rows).astype(float)
    old, is_new = candidate.old, new.mask(rows)
    if predictions is not None:
        known = is_new & kept
        regions = contradicted(rows.take(known), predictions[known])
        old = old.without(regions) if regions else old
    rule = old.plus(new).bounded()
    return rule, np.where(is_new, candidate.weight, rule.mask(rows).astype(float))


def fold_of(judged: np.ndarray) -> np.ndarray:
    """Return the fold of each row, in order of time: stretches of the judged rows go round, and so
    do those of the others.

    Where neighbours in time are alike, a row whose neighbours are in the fit is predicted better
    than one of tomorrow. Source: Bergmeir and Benitez, Information Sciences 191 (2012), blocked
    cross-validation.

    Of 13 judged rows after two others:

        >>> fold_of(np.arange(15) > 1)
        array([0, 1, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 0, 0, 1])
    """
    fold = np.zeros(len(judged), dtype=np.int64)
    for mask in (judged, ~judged):
        rows = int(mask.sum())
        length = max(1, math.ceil(rows / (FOLDS * _STRETCHES)))
        fold[mask] = np.arange(rows) // length % FOLDS
    return fold


def weights_by_fold(
    candidate: Candidate, rows: Rows, judged: np.ndarray, predictions: np.ndarray | None
) -> tuple[np.ndarray, ...]:
    """For each fold, return the rows' weights without it: zero for its own.

    What is contradicted is found anew for each, so that it too has not seen the fold's rows.

    Args:
        candidate: what is tried.
        rows: all that may be taken.
        judged: mask of the rows that candidates are compared on.
        predictions: what the reference predicts for them; None without one.
    """
    fold = fold_of(judged)
    return tuple(
        np.where(fold == out, 0.0, row_rule_of(candidate, rows, predictions, fold != out)[1])
        for out in range(FOLDS)
    )


def cross_fit(
    candidate: Candidate,
    rows: Rows,
    judged: np.ndarray,
    predictions: Mapping[int, np.ndarray],
    learner: Learner,
) -> Fitted | None:
    """Predict each row that the candidate takes, and each judged one, by a model that has not seen
    it.

    Args:
        candidate: what is tried.
        rows: all that may be taken.
        judged: mask of the rows that candidates are compared on.
        predictions: what the versions that candidates name predict for the rows.
        learner: fits a model.

    Returns:
        None where a fold leaves fewer than two different labels to fit on.
    """
    everything = np.ones(len(rows), dtype=bool)
    if candidate.version is not None:
        own = predictions[candidate.version]
        return Fitted(candidate, EVERYTHING, everything.astype(float), own, judged)
    reference = None if candidate.reference is None else predictions[candidate.reference]
    row_rule, weights = row_rule_of(candidate, rows, reference, everything)
    fold, by_fold = fold_of(judged), weights_by_fold(candidate, rows, judged, reference)
    fitted, asked = rows.problem.unknown(len(rows)), (weights > 0) | judged
    for out, weights_without in enumerate(by_fold):
        model = fit_to(rows, weights_without, learner)
        if model is None:
            return None
        own = (fold == out) & asked
        if own.any():
            fitted[own] = model.predict(rows.features[own])
    return Fitted(candidate, row_rule, weights, fitted, asked, by_fold)


def fit_to(rows: Rows, weights: np.ndarray, learner: Learner) -> Model | None:
    """Fit a model to the rows with a weight; None where their labels do not differ."""
    taken = weights > 0
    if len(np.unique(rows.labels[taken])) < 2:
        return None
    return learner(rows.features[taken], rows.labels[taken], weights[taken])


def judged_at_gate(
    fitted: Fitted, rows: Rows, judged: np.ndarray, trained: np.datetime64
) -> np.ndarray:
    """Mask of the rows that a challenger is compared with the champion on: judged, and new to both.

    Args:
        fitted: the challenger, cross-fitted.
        rows: all that may be taken.
        judged: mask of the rows that candidates are compared on.
        trained: newest label time that had landed when the champion was trained.
    """
    compared = judged & (rows.label_time > trained) & fitted.asked
    if fitted.candidate.span is not None:
        # Older rows speak for where the rule was: a stretch of newest rows is not made for them.
        compared &= rows.event_time >= fitted.row_rule.segments[-1].start
    return compared


def distinct_predictions(fitted: Fitted, judged: np.ndarray) -> int:
    """Count the different cross-fitted predictions for the judged rows."""
    return len(np.unique(fitted.predictions[judged & fitted.asked]))


def choose(
    fitted: Sequence[Fitted], rows: Rows, judged: np.ndarray, settings: CandidateSettings
) -> Fitted:
    """Return the first, unless a later one is better on the judged rows with the preference's
    probability, and so on.

    The order is by what usually is best, so that few rows do not choose by chance: with an even
    choice of five, the luckiest is taken, which costs more than it gains. One that predicts the
    same for all rows is taken only where all do: the gate would refuse it.
    """
    varied = [each for each in fitted if distinct_predictions(each, judged) > 1]
    on = judged & np.logical_and.reduce([each.asked for each in fitted])
    chosen, *others = varied or list(fitted)
    for other in others:
        predictions = (each.predictions[on] for each in (chosen, other))
        returns = other.candidate.version is not None
        needed = min(settings.preference, _RETURN) if returns else settings.preference
        if compare(rows.problem, rows.labels[on], *predictions).better > needed:
            chosen = other
    return chosen
