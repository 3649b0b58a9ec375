"""The gate: may the challenger take over? A pure function from paired predictions to a verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.special import betainc

from lakehouse.estimators import Problem
from lakehouse.settings import MarginSettings
from lakehouse.steps.decide import REFRESH

PROMOTE, PENDING, REFUSE, ROLLBACK = "promote", "pending", "refuse", "rollback"
"""Actions in the ledger of promotions."""
VERDICTS = (PROMOTE, PENDING, REFUSE)


@dataclass(frozen=True)
class Verdict:
    """Whether the challenger is promoted, why, and with which figures."""

    promote: bool
    reason: str
    evidence: dict[str, float] = field(default_factory=dict)


def judge_first(problem: Problem, targets: np.ndarray, challenger: np.ndarray, margins: MarginSettings) -> Verdict:
    """The first model must beat by the margin what needs no model, on rows that it was not fitted on.

    That is the majority class in accuracy, or the mean label in R². And it must be right on more rows than the fall
    that the alarm looks for, or no fall could ever be seen.

    Args:
        problem: what counts as right, and how skill is measured.
        targets: true class codes, or labels.
        challenger: its cross-fitted predictions of them.
        margins: `first_gain` is the margin, in accuracy or R²; `accuracy_drop` is that fall.
    """
    skill, naive = problem.skill(challenger, targets), problem.naive_skill(targets)
    right = float(problem.is_right(challenger, targets).mean())
    evidence = {
        f"challenger_{problem.skill_name}": skill,
        **_named("challenger", problem.summary(challenger, targets)),
        f"baseline_{problem.skill_name}": naive,
        "rows": len(targets),
    }
    words = (
        f"{problem.skill_name} {skill:.3f} on {len(targets)} rows, {problem.naive_name} {naive:.3f}, "
        f"margin {margins.first_gain:g}"
    )
    if right <= margins.accuracy_drop:
        words += f"; right on {right:.1%} of them, which cannot fall by the {margins.accuracy_drop:g} of the alarm"
        return Verdict(False, words, evidence)
    return Verdict(skill >= naive + margins.first_gain, words, evidence)


def judge(
    action: str,
    problem: Problem,
    targets: np.ndarray,
    champion: np.ndarray,
    challenger: np.ndarray,
    margins: MarginSettings,
) -> Verdict:
    """Compares both on the same rows, which neither was fitted on: the rows on which just one of them has less loss.

    For classes those are the rows on which just one of them is right; for numbers, those on which one is nearer to the
    label, and rows on which both are equally far are left out. With u rows for the challenger and v for the champion,
    P(challenger better) = P(X > 1/2), X ~ Beta(1 + u, 1 + v).
    After an alarm that must reach the confidence; at a refresh it must not fall below what is left of it. Being the
    best of its training's trials on these rows flatters the challenger a little: ask for a high confidence.

    Args:
        action: what was decided, `retrain` or `refresh`.
        problem: the loss of a row.
        targets: true class codes, or labels, of the newest labelled rows.
        champion: its predictions of them.
        challenger: its cross-fitted predictions of them.
        margins: `confidence` is asked for.
    """
    if len(targets) == 0:
        return Verdict(False, "no labelled row that both models are new to")
    champions, challengers = problem.losses(champion, targets), problem.losses(challenger, targets)
    won, lost = int((challengers < champions).sum()), int((champions < challengers).sum())
    better = probability_better(won, lost)
    needed = 1 - margins.confidence if action == REFRESH else margins.confidence
    evidence = {
        "rows": float(len(targets)),
        **_named("champion", problem.summary(champion, targets)),
        **_named("challenger", problem.summary(challenger, targets)),
        "won": float(won),
        "lost": float(lost),
        "probability_better": better,
        "needed": needed,
    }
    words = (
        f"of {len(targets)} rows, {won} {problem.won_by} the challenger alone and {lost} by the champion alone: "
        f"better with probability {better:.3f}, {needed:.3f} needed"
    )
    return Verdict(better >= needed, words, evidence)


def _named(who: str, figures: Mapping[str, float]) -> dict[str, float]:
    return {f"{who}_{name}": value for name, value in figures.items()}


def probability_better(won: int, lost: int) -> float:
    """P(X > 1/2) for X ~ Beta(1 + won, 1 + lost): a sign test with a uniform prior."""
    return float(1 - betainc(1 + won, 1 + lost, 0.5))
