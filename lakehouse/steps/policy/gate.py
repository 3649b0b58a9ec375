"""The gate, and probation after it: is one model credibly better or worse than another on the same rows?"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.special import betainc

from lakehouse.settings import GateSettings, ProbationSettings

_SLICE_DOUBT = 0.05


@dataclass(frozen=True)
class Judgement:
    """What was decided on a model, why, and with which figures."""

    passed: bool
    reason: str
    evidence: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Duel:
    """Two models on the same rows, which neither was fitted on: the pairs on which just one of them is right.

    Attributes:
        rows: how many there are.
        won: rows that the challenger alone got right.
        lost: rows that the champion alone got right.
    """

    rows: int
    won: int
    lost: int

    @property
    def better(self) -> float:
        """P(challenger better) = P(X > 1/2), X ~ Beta(1 + won, 1 + lost): a sign test with a uniform prior."""
        return float(1 - betainc(1 + self.won, 1 + self.lost, 0.5))

    @property
    def gain(self) -> float:
        """The challenger's accuracy minus the champion's."""
        return (self.won - self.lost) / self.rows if self.rows else 0.0


def duel(codes: np.ndarray, champion: np.ndarray, challenger: np.ndarray) -> Duel:
    """Compares the calls (class codes) of two models row by row."""
    first, second = champion == codes, challenger == codes
    return Duel(len(codes), int((second & ~first).sum()), int((first & ~second).sum()))


@dataclass(frozen=True)
class Challenger:
    """What the gate asks of a challenger, besides being better.

    Attributes:
        codes: labels of the rows to judge on: since the change, told after the champion was trained.
        champion: the champion's calls for them.
        calls: the challenger's cross-fitted calls.
        finite: whether all probabilities that it gives are finite numbers.
        classes: how many classes it calls on the rows that it was fitted on.
        same_schema: whether it reads the champion's features, in kind and order.
        milliseconds: how long it takes to score a thousand rows.
        slices: for each watched slice, the mask of the rows that lie in it.
        of_new_classes: rows besides, whose label the challenger can call and the champion cannot.
    """

    codes: np.ndarray
    champion: np.ndarray
    calls: np.ndarray
    finite: bool = True
    classes: int = 2
    same_schema: bool = True
    milliseconds: float | None = None
    slices: Mapping[str, np.ndarray] = field(default_factory=dict)
    of_new_classes: int = 0


def judge(challenger: Challenger, needed: float, settings: GateSettings) -> Judgement:
    """May the challenger take over?

    At an alarm it must probably be better: P(better) of the `confidence`, which is low, since the alarm is evidence
    that the champion is not what it was, and few rows are there. Later it is refused only on evidence against it.
    Where labels of new classes have come it need be no worse on the others: on those the champion is always wrong.
    Whatever the accuracy, one that cannot be served, calls a single class, or fails a slice's floor is refused.

    Guarantee: with no difference between the two, a challenger passes an alarm's gate with probability of about
    1 - confidence; docs/policy.md has the operating characteristic.

    Args:
        challenger: what it is judged on.
        needed: P(challenger better) that the decision asks for.
        settings: of the gate.
    """
    if challenger.of_new_classes:
        needed = min(needed, settings.least_confidence)
    refusal = _unfit(challenger, settings) or _worse_slice(challenger, settings)
    found = duel(challenger.codes, challenger.champion, challenger.calls)
    evidence = {
        "rows": float(found.rows),
        "won": float(found.won),
        "lost": float(found.lost),
        "probability_better": found.better,
        "needed": needed,
    }
    if refusal:
        return Judgement(False, refusal, evidence)
    words = (
        f"of {found.rows} rows, {found.won} right by the challenger alone and {found.lost} by the champion alone: "
        f"better with probability {found.better:.3f}, {needed:g} needed"
    )
    return Judgement(found.better >= needed, words, evidence)


def _unfit(challenger: Challenger, settings: GateSettings) -> str | None:
    """Why it cannot be served at all."""
    if not challenger.same_schema:
        return "it reads other features than the champion"
    if not challenger.finite:
        return "it gives probabilities that are not finite numbers"
    if challenger.classes < 2:
        return "it calls a single class, whatever the row"
    budget = settings.milliseconds_per_thousand
    if budget is not None and (challenger.milliseconds is None or challenger.milliseconds > budget):
        taken = "unknown time" if challenger.milliseconds is None else f"{challenger.milliseconds:.1f} ms"
        return f"it takes {taken} for a thousand rows, {budget:g} ms allowed"
    return None


def _worse_slice(challenger: Challenger, settings: GateSettings) -> str | None:
    """The first slice in which it is credibly worse than the champion by more than the floor allows.

    Few rows say little about a slice, so it is not its accuracy alone that counts: it must lose by more than the
    allowed fall and have lost more pairs than chance gives (P(better) below .05).
    """
    for name, inside in sorted(challenger.slices.items()):
        found = duel(challenger.codes[inside], challenger.champion[inside], challenger.calls[inside])
        if found.gain < -settings.slice_fall and found.better < _SLICE_DOUBT:
            fall = f"{-found.gain:.1%} worse, on {found.rows} rows; {settings.slice_fall:.1%} allowed"
            return f"in slice {name} it is {fall}"
    return None


def on_probation(labelled: int, settings: ProbationSettings) -> bool:
    """Whether a promoted version is still compared with the one before: until so many labels have come since."""
    return labelled <= settings.rows


def probation(found: Duel, settings: ProbationSettings) -> Judgement:
    """Is the promoted version credibly worse than the one before, on the first labels that both are new to?

    It is rolled back where P(the new one better) is below 1 - confidence. Looked at once per label batch, a version
    that is as good as the one before is rolled back with a probability of at most looks × (1 - confidence).

    Args:
        found: the version before as champion, the promoted one as challenger.
        settings: of the probation.
    """
    failed = found.better < 1 - settings.confidence
    words = (
        f"on its first {found.rows} labels it alone is right {found.won} times and the version before {found.lost} "
        f"times: better with probability {found.better:.4f}"
    )
    evidence = {
        "rows": float(found.rows),
        "won": float(found.won),
        "lost": float(found.lost),
        "probability_better": found.better,
    }
    return Judgement(not failed, words, evidence)
