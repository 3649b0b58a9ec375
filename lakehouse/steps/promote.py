"""The gate: may the challenger take over? A pure function from paired predictions to a verdict."""

from dataclasses import dataclass, field

import numpy as np
from scipy.special import betainc

from lakehouse.settings import MarginSettings
from lakehouse.steps.decide import REFRESH


@dataclass(frozen=True)
class Verdict:
    """Whether the challenger is promoted, why, and with which figures."""

    promote: bool
    reason: str
    evidence: dict[str, float] = field(default_factory=dict)


def judge_first(codes: np.ndarray, challenger: np.ndarray, margins: MarginSettings) -> Verdict:
    """The first model must beat the majority class by the margin, on rows that it was not fitted on.

    Args:
        codes: true class codes.
        challenger: its cross-fitted class codes.
        margins: `first_gain` is the margin, in accuracy.
    """
    accuracy = float((challenger == codes).mean())
    baseline = float(np.bincount(codes).max() / len(codes))
    promote = accuracy >= baseline + margins.first_gain
    words = (
        f"accuracy {accuracy:.3f} on {len(codes)} rows, majority class {baseline:.3f}, margin {margins.first_gain:g}"
    )
    return Verdict(promote, words, {"challenger_accuracy": accuracy, "baseline_accuracy": baseline, "rows": len(codes)})


def judge(
    action: str, codes: np.ndarray, champion: np.ndarray, challenger: np.ndarray, margins: MarginSettings
) -> Verdict:
    """Compares both on the same rows, which neither was fitted on: the pairs on which just one of them is right.

    With u pairs for the challenger and v for the champion, P(challenger better) = P(X > 1/2), X ~ Beta(1 + u, 1 + v).
    After an alarm that must reach the confidence; at a refresh it must not fall below what is left of it. Being the
    best of its training's trials on these rows flatters the challenger a little: ask for a high confidence.

    Args:
        action: what was decided, `retrain` or `refresh`.
        codes: true class codes of the newest labelled rows.
        champion: its class codes for them.
        challenger: its cross-fitted class codes for them.
        margins: `confidence` is asked for.
    """
    if len(codes) == 0:
        return Verdict(False, "no labelled row that both models are new to")
    won = int(((challenger == codes) & (champion != codes)).sum())
    lost = int(((champion == codes) & (challenger != codes)).sum())
    better = probability_better(won, lost)
    needed = 1 - margins.confidence if action == REFRESH else margins.confidence
    evidence = {
        "rows": float(len(codes)),
        "champion_accuracy": float((champion == codes).mean()),
        "challenger_accuracy": float((challenger == codes).mean()),
        "won": float(won),
        "lost": float(lost),
        "probability_better": better,
        "needed": needed,
    }
    words = (
        f"of {len(codes)} rows, {won} right by the challenger alone and {lost} by the champion alone: "
        f"better with probability {better:.3f}, {needed:.3f} needed"
    )
    return Verdict(better >= needed, words, evidence)


def probability_better(won: int, lost: int) -> float:
    """P(X > 1/2) for X ~ Beta(1 + won, 1 + lost): a sign test with a uniform prior."""
    return float(1 - betainc(1 + won, 1 + lost, 0.5))
