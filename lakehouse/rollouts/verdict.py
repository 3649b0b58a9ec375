"""What becomes of a rollout: rules over what scoring and labels tell. They decide, and act on
nothing.
"""

import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from lakehouse.rollouts.actions import ABORT, FINISH, HOLD, STEP
from lakehouse.rollouts.sequential import (
    Block,
    Pairs,
    always_valid_interval,
    log_evidence_above,
    log_evidence_better,
    log_evidence_of_arms,
    log_evidence_worse,
)
from lakehouse.rollouts.state import Rollout
from lakehouse.settings import RolloutSettings

_LEVEL = 0.95
"""Of the always-valid intervals that are told beside a verdict."""
_ENOUGH_TO_TIME = 1_000
"""Rows before the time that they take is held against its bound."""


@dataclass(frozen=True)
class Verdict:
    """What is to be done, by which rule, why, and with which figures."""

    action: str
    rule: str
    reason: str
    share: float
    evidence: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Scored:
    """What scoring tells of the challenger without labels.

    Attributes:
        rows: that both were asked for.
        errors: rows that it gave no finite answer for.
        disagreements: rows on which both answer, and not the same (of numbers: further apart than
            the tolerance).
        seconds: that it took.
    """

    rows: int = 0
    errors: int = 0
    disagreements: int = 0
    seconds: float = 0.0

    @property
    def milliseconds_per_thousand(self) -> float:
        """How long it takes for a thousand rows."""
        return 1e6 * self.seconds / self.rows if self.rows else 0.0

    @property
    def figures(self) -> dict[str, float]:
        """As evidence of a row of `gold.rollout`."""
        return {
            "scored_rows": float(self.rows),
            "errors": float(self.errors),
            "disagreements": float(self.disagreements),
            "milliseconds_per_thousand": self.milliseconds_per_thousand,
        }


@dataclass(frozen=True)
class Labelled:
    """What the labels tell that have come.

    Attributes:
        pairs: rows that both have scored.
        right: of these, how many the champion is right on, and the challenger.
        slices: the same of each watched slice.
        blocks: rows by the arm that answered them, in the order in which their labels came.
        costs: of champion and challenger, money for a thousand of the rows that they are compared
            on; None without a cost matrix.
    """

    pairs: Pairs = field(default_factory=Pairs)
    right: tuple[int, int] = (0, 0)
    slices: Mapping[str, Pairs] = field(default_factory=dict)
    blocks: Sequence[Block] = ()
    costs: tuple[float, float] | None = None


@dataclass(frozen=True)
class _Case:
    """What the rules look at."""

    rollout: Rollout
    as_of: dt.datetime
    scored: Scored
    labelled: Labelled
    settings: RolloutSettings

    @property
    def compares_arms(self) -> bool:
        return self.settings.label_follows_prediction

    @cached_property
    def log_better(self) -> float:
        if self.compares_arms:
            return log_evidence_of_arms(self.labelled.blocks, True)
        return log_evidence_better(self.labelled.pairs)

    @cached_property
    def log_worse(self) -> float:
        if self.compares_arms:
            return log_evidence_of_arms(self.labelled.blocks, False)
        return log_evidence_worse(self.labelled.pairs)

    @property
    def log_needed_for_worse(self) -> float:
        """Half of the error rate is of all rows, where slices are watched for the other half."""
        return math.log((2 if self.watched else 1) / self.settings.worse)

    @property
    def watched(self) -> Mapping[str, Pairs]:
        return {} if self.compares_arms else self.labelled.slices

    def verdict(self, action: str, rule: str, reason: str) -> Verdict:
        share = 0.0 if action in (ABORT, FINISH) else self.rollout.share
        return Verdict(action, rule, reason, share, self.figures)

    @cached_property
    def figures(self) -> dict[str, float]:
        pairs = self.labelled.pairs
        found = {"log_better": self.log_better, "log_worse": self.log_worse}
        found |= {"needed_better": -math.log(self.settings.better)}
        found |= {"needed_worse": self.log_needed_for_worse}
        if not self.compares_arms:
            found |= {"rows": pairs.rows, "won": pairs.won, "lost": pairs.lost}
        for name, (rows, right) in self.sides.items():
            low, high = always_valid_interval(right, rows, _LEVEL)
            found |= {f"{name}_rows": rows, f"{name}_right": right}
            found |= {f"{name}_low": low, f"{name}_high": high}
        if self.labelled.costs is not None:
            found |= dict(
                zip(("champion_cost", "challenger_cost"), self.labelled.costs, strict=True)
            )
        return self.scored.figures | {name: float(value) for name, value in found.items()}

    @property
    def sides(self) -> dict[str, tuple[int, int]]:
        """Of both versions, labelled rows and how many it is right on: those of its arm, or all."""
        labelled = self.labelled
        if not self.compares_arms:
            rows = labelled.pairs.rows
            return {"champion": (rows, labelled.right[0]), "challenger": (rows, labelled.right[1])}
        champion = [(each.champion_rows, each.champion_right) for each in labelled.blocks]
        challenger = [(each.challenger_rows, each.challenger_right) for each in labelled.blocks]
        return {"champion": _sums(champion), "challenger": _sums(challenger)}


def _sums(pairs: Sequence[tuple[int, int]]) -> tuple[int, int]:
    return sum(rows for rows, _ in pairs), sum(right for _, right in pairs)


def judge_scored(rollout: Rollout, scored: Scored, settings: RolloutSettings) -> Verdict | None:
    """May the challenger go on, by what scoring tells without labels? None if it may.

    One row without a finite answer ends it. So does a mean time above its bound, once a thousand
    rows were timed; and disagreement credibly above its bound (an e-process at the error rate of
    `worse`, so that the number of looks does not matter).
    """
    return _without_labels(_Case(rollout, rollout.seen, scored, Labelled(), settings))


def judge_rollout(
    rollout: Rollout,
    as_of: dt.datetime,
    scored: Scored,
    labelled: Labelled,
    settings: RolloutSettings,
) -> Verdict:
    """What becomes of a rollout as of a label batch: the first rule that applies decides.

    In this order: what scoring tells (`judge_scored`); the challenger is worse; it is worse in a
    slice; it is better, and the first step has lasted; the longest time is over, and the champion
    stays; the step has lasted, and the next share follows; nothing.

    Guarantee: a challenger that is not better finishes with a probability of at most `better`, and
    one that is not worse is aborted as worse with at most `worse`, however often this is asked.
    Where slices are watched, `worse` is halved: one half for all rows, one for the slices together.

    Args:
        rollout: that runs.
        as_of: newest label time that has landed.
        scored: of all rows since it began.
        labelled: likewise.
        settings: of rollouts.
    """
    case = _Case(rollout, as_of, scored, labelled, settings)
    for rule in _RULES:
        verdict = rule(case)
        if verdict is not None:
            return verdict
    return case.verdict(HOLD, "undecided", f"undecided: {_words_of(case)}")


def _without_labels(case: _Case) -> Verdict | None:
    scored, settings = case.scored, case.settings
    if scored.errors:
        words = f"the challenger gave no finite answer for {scored.errors:,} of {scored.rows:,}"
        return case.verdict(ABORT, "errors", f"{words} rows")
    bound, taken = settings.milliseconds_per_thousand, scored.milliseconds_per_thousand
    if bound is not None and scored.rows >= _ENOUGH_TO_TIME and taken > bound:
        words = f"the challenger takes {taken:.1f} ms for a thousand rows, {bound:g} ms allowed"
        return case.verdict(ABORT, "latency", words)
    limit, differing = settings.disagreement, scored.disagreements
    if limit is None or not scored.rows:
        return None
    if log_evidence_above(differing, scored.rows, limit) <= -math.log(settings.worse):
        return None
    words = f"both differ on {differing:,} of {scored.rows:,} rows, {limit:.1%} allowed"
    return case.verdict(ABORT, "disagreement", words)


def _worse(case: _Case) -> Verdict | None:
    if case.log_worse <= case.log_needed_for_worse:
        return None
    return case.verdict(ABORT, "worse", f"the challenger is worse: {_words_of(case)}")


def _worse_in_slice(case: _Case) -> Verdict | None:
    """The first slice in which it is credibly worse by more than the allowed fall."""
    needed = math.log(2 * max(len(case.watched), 1) / case.settings.worse)
    for name, pairs in sorted(case.watched.items()):
        fall = (pairs.lost - pairs.won) / pairs.rows if pairs.rows else 0.0
        if fall > case.settings.slice_fall and log_evidence_worse(pairs) > needed:
            words = f"in slice {name} the challenger is {fall:.1%} worse, on {pairs.rows} rows"
            return case.verdict(ABORT, "slice", f"{words}; {case.settings.slice_fall:.1%} allowed")
    return None


def _better(case: _Case) -> Verdict | None:
    has_lasted = case.as_of - case.rollout.began >= case.settings.dwell
    if not has_lasted or case.log_better <= -math.log(case.settings.better):
        return None
    return case.verdict(FINISH, "better", f"the challenger is better: {_words_of(case)}")


def _too_long(case: _Case) -> Verdict | None:
    if case.as_of - case.rollout.began < case.settings.longest:
        return None
    days = case.settings.longest / dt.timedelta(days=1)
    words = f"the challenger has not shown itself better in {days:g} days; the champion stays"
    return case.verdict(ABORT, "longest", f"{words}: {_words_of(case)}")


def _next_step(case: _Case) -> Verdict | None:
    """The next share, where the step has lasted; a rollout that a person began takes part, too."""
    rollout, settings = case.rollout, case.settings
    later = [share for share in settings.steps_of(rollout.strategy) if share > rollout.share]
    if not later or case.as_of - rollout.stepped < settings.dwell:
        return None
    words = f"not worse at a share of {rollout.share:.0%}: {_words_of(case)}"
    return Verdict(STEP, "dwell", words, later[0], case.figures)


_RULES: tuple[Callable[[_Case], Verdict | None], ...] = (
    _without_labels,
    _worse,
    _worse_in_slice,
    _better,
    _too_long,
    _next_step,
)
"""In their order: the first that applies decides."""


def _words_of(case: _Case) -> str:
    figures = case.figures
    evidence = f"evidence e^{case.log_better:.1f} for better, e^{case.log_worse:.1f} for worse"
    if case.compares_arms:
        return (
            f"right are {figures['challenger_right']:.0f} of {figures['challenger_rows']:.0f} rows "
            f"of the challenger, {figures['champion_right']:.0f} of {figures['champion_rows']:.0f} "
            f"of the champion; {evidence}"
        )
    pairs = case.labelled.pairs
    return f"of {pairs.rows} rows, it won {pairs.won} and lost {pairs.lost}; {evidence}"
