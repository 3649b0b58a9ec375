"""The gate, and probation after it: is one model credibly better or worse than another on the same
rows?
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.special import betaincc

from lakehouse.checks.check import Check, refusal_of
from lakehouse.models import Problem
from lakehouse.retraining.policy.difference import Difference
from lakehouse.settings import GateSettings, ProbationSettings

_SLICE_DOUBT = 0.05
"""P(better) in a slice below which a challenger is held to be worse there: one in twenty."""
_FIRST_RIGHT = 0.1
"""Share of rows that the first model must be right on: the detector cannot see a model become worse
that is hardly ever right, since its expected error rates end at .45."""


@dataclass(frozen=True)
class GateResult:
    """Whether a model passed, why, with which figures, what it would call otherwise, and what its
    tests found.
    """

    passed: bool
    reason: str
    evidence: dict[str, float] = field(default_factory=dict)
    differences: tuple[Difference, ...] = ()
    checks: tuple[Check, ...] = ()

    def with_figures(self, figures: Mapping[str, float]) -> "GateResult":
        """The result with more evidence."""
        return replace(self, evidence={**self.evidence, **figures})

    @property
    def gain(self) -> float:
        """Errors that the challenger avoids; 0 where nothing was compared."""
        return gain_of(self.evidence)


def with_checks(result: GateResult, checks: tuple[Check, ...]) -> GateResult:
    """The result with a model's tests: one that fails a demanded test is refused, whatever the
    gate says.
    """
    refusal = refusal_of(checks)
    if refusal is None or not result.passed:
        return replace(result, checks=checks)
    return replace(result, passed=False, reason=f"{result.reason}; {refusal}", checks=checks)


def gain_of(evidence: Mapping[str, float]) -> float:
    """Return the errors that a challenger avoids, by its result's evidence.

    Releases before 0.3 have the rows that it won and lost, which are the same for classes.
    """
    return evidence.get("avoided", evidence.get("won", 0.0) - evidence.get("lost", 0.0))


def probability_better(won: Any, lost: Any) -> Any:
    """P(X > 1/2) for X ~ Beta(1 + won, 1 + lost): a sign test with a uniform prior.

    Args:
        won: pairs that the challenger won; a number or an array.
        lost: pairs that the champion won.
    """
    return betaincc(1 + won, 1 + lost, 0.5)


@dataclass(frozen=True)
class PairedComparison:
    """Two models on the same rows, which neither was fitted on: the pairs in which one of them has
    less loss.

    Attributes:
        rows: how many there are.
        won: rows on which the challenger has less loss: of classes, those that it alone got right.
        lost: rows on which the champion has less loss.
    """

    rows: int
    won: int
    lost: int

    @property
    def better(self) -> float:
        """P(challenger better), by `probability_better`."""
        return float(probability_better(self.won, self.lost))

    @property
    def gain(self) -> float:
        """Share of rows won minus share of rows lost: of classes, the challenger's accuracy minus
        the champion's.
        """
        return (self.won - self.lost) / self.rows if self.rows else 0.0


def compare(
    problem: Problem, labels: np.ndarray, champion: np.ndarray, challenger: np.ndarray
) -> PairedComparison:
    """Compare the predictions of two models row by row, by the problem's losses.

    Of six rows the challenger alone is right on three, the champion alone on one:

        >>> from lakehouse.models import Classification
        >>> labels = np.array([1, 1, 1, 0, 0, 0])
        >>> champion, challenger = np.array([1, 0, 0, 1, 0, 0]), np.array([1, 1, 1, 0, 1, 0])
        >>> found = compare(Classification((0, 1), 1), labels, champion, challenger)
        >>> found.won, found.lost, round(found.better, 3)
        (3, 1, 0.812)
    """
    first, second = problem.losses(champion, labels), problem.losses(challenger, labels)
    return PairedComparison(len(labels), int((second < first).sum()), int((first < second).sum()))


@dataclass(frozen=True)
class Challenger:
    """What the gate asks of a challenger, besides being better.

    Attributes:
        problem: what is predicted.
        labels: labels of the rows to judge on: since the change, told after the champion was
            trained.
        champion: the champion's predictions of them.
        predictions: the challenger's cross-fitted predictions.
        distinct: how many different predictions it gives for the rows that it was fitted on.
        milliseconds: how long it takes to score a thousand rows.
        slices: for each watched slice, the mask of the rows that lie in it.
        of_new_classes: other rows, whose label the challenger can predict and the champion cannot.
    """

    problem: Problem
    labels: np.ndarray
    champion: np.ndarray
    predictions: np.ndarray
    distinct: int = 2
    milliseconds: float | None = None
    slices: Mapping[str, np.ndarray] = field(default_factory=dict)
    of_new_classes: int = 0


def judge_first(
    problem: Problem, labels: np.ndarray, predictions: np.ndarray, settings: GateSettings
) -> GateResult:
    """The first model must beat by the margin what needs no model, on rows that it was not fitted
    on.

    That is the majority class in accuracy, or the mean label in R². And it must be right on more
    than a tenth of the rows: the detector cannot see a model become worse that is hardly ever
    right.

    Args:
        problem: what counts as right, and how skill is measured.
        labels: of the rows.
        predictions: its cross-fitted predictions for them.
        settings: of the gate.
    """
    skill, naive = problem.skill(predictions, labels), problem.naive_skill(labels)
    right = float(problem.is_right(predictions, labels).mean())
    evidence = {
        f"challenger_{problem.skill_name}": skill,
        **_named("challenger", problem.summary(predictions, labels)),
        f"baseline_{problem.skill_name}": naive,
        "rows": float(len(labels)),
    }
    words = (
        f"{problem.skill_name} {skill:.3f} on {len(labels)} rows, {problem.naive_name} "
        f"{naive:.3f}, "
        f"margin {settings.first_gain:g}"
    )
    if right <= _FIRST_RIGHT:
        return GateResult(
            False,
            f"{words}; right on {right:.1%} of them, more than {_FIRST_RIGHT:.0%} needed",
            evidence,
        )
    return GateResult(skill - naive >= settings.first_gain * (1 - naive), words, evidence)


def judge(challenger: Challenger, needed: float, settings: GateSettings) -> GateResult:
    """May the challenger take over?

    At an alarm it must probably be better: P(better) of the `confidence`, which is low, since the
    alarm is evidence that the champion is not what it was, and few rows are there. Later it is
    refused only on evidence against it. Where labels of new classes have come it need be no worse
    on the others: on those the champion is always wrong. Whatever the accuracy, one that cannot be
    served, predicts the same for all rows, or fails a slice's floor is refused.

    Guarantee: with no difference between the two, a challenger passes an alarm's gate with
    probability of about
    1 - confidence; docs/policy-evidence.md has the operating characteristic.

    Args:
        challenger: what it is judged on.
        needed: P(challenger better) that the decision asks for.
        settings: of the gate.
    """
    if challenger.of_new_classes:
        needed = min(needed, settings.least_confidence)
    refusal = _unfit(challenger, settings) or _worse_slice(challenger, settings)
    found = compare(
        challenger.problem, challenger.labels, challenger.champion, challenger.predictions
    )
    evidence = _figures(found) | {"needed": needed, "avoided": _avoided(challenger)}
    evidence |= _summaries(challenger)
    if refusal:
        return GateResult(False, refusal, evidence)
    words = (
        f"of {found.rows} rows, {found.won} {challenger.problem.won_by} the challenger alone and "
        f"{found.lost} by the "
        f"champion alone: better with probability {found.better:.3f}, {needed:g} needed"
    )
    return GateResult(found.better >= needed, words, evidence)


def _figures(found: PairedComparison) -> dict[str, float]:
    return {
        "rows": float(found.rows),
        "won": float(found.won),
        "lost": float(found.lost),
        "probability_better": found.better,
    }


def _avoided(challenger: Challenger) -> float:
    """Return how many errors the challenger avoids, those that it adds taken off."""
    sides = (challenger.predictions, challenger.champion)
    right, champion_right = (
        int(challenger.problem.is_right(each, challenger.labels).sum()) for each in sides
    )
    return float(right - champion_right)


def _summaries(challenger: Challenger) -> dict[str, float]:
    """Of both on the rows that they are judged on."""
    if not len(challenger.labels):
        return {}
    problem, labels = challenger.problem, challenger.labels
    sides = (("champion", challenger.champion), ("challenger", challenger.predictions))
    return {
        name: value
        for who, predictions in sides
        for name, value in _named(who, problem.summary(predictions, labels)).items()
    }


def _named(who: str, figures: Mapping[str, float]) -> dict[str, float]:
    return {f"{who}_{name}": value for name, value in figures.items()}


def _unfit(challenger: Challenger, settings: GateSettings) -> str | None:
    """Return why it cannot be served at all."""
    if challenger.distinct < 2:
        return "it predicts the same, whatever the row"
    budget = settings.milliseconds_per_thousand
    if budget is not None and (challenger.milliseconds is None or challenger.milliseconds > budget):
        taken = (
            "unknown time"
            if challenger.milliseconds is None
            else f"{challenger.milliseconds:.1f} ms"
        )
        return f"it takes {taken} for a thousand rows, {budget:g} ms allowed"
    return None


def _worse_slice(challenger: Challenger, settings: GateSettings) -> str | None:
    """The first slice in which it is credibly worse than the champion by more than the floor
    allows.

    Few rows say little about a slice, so it is not its accuracy alone that counts: it must lose by
    more than the allowed fall and have lost more pairs than chance gives (P(better) below .05).
    """
    for name, inside in sorted(challenger.slices.items()):
        sides = (
            challenger.labels[inside],
            challenger.champion[inside],
            challenger.predictions[inside],
        )
        found = compare(challenger.problem, *sides)
        if found.gain < -settings.slice_fall and found.better < _SLICE_DOUBT:
            fall = (
                f"{-found.gain:.1%} worse, on {found.rows} rows; {settings.slice_fall:.1%} allowed"
            )
            return f"in slice {name} it is {fall}"
    return None


def on_probation(labelled: int, settings: ProbationSettings) -> bool:
    """Return whether a promoted version is still compared with the one before: until so many labels
    have come since.
    """
    return labelled <= settings.rows


def probation(problem: Problem, found: PairedComparison, settings: ProbationSettings) -> GateResult:
    """Is the promoted version credibly worse than the one before, on the first labels that both are
    new to?

    It is rolled back where P(the new one better) is below 1 - confidence. Looked at once per label
    batch, a version that is as good as the one before is rolled back with a probability of at most
    looks × (1 - confidence).

    Args:
        problem: what is predicted.
        found: the version before as champion, the promoted one as challenger.
        settings: of the probation.
    """
    failed = found.better < 1 - settings.confidence
    words = (
        f"of its first {found.rows} labels, {found.won} {problem.won_by} it alone and {found.lost} "
        "by the version "
        f"before: better with probability {found.better:.4f}"
    )
    return GateResult(not failed, words, _figures(found))
