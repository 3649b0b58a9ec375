"""What becomes of a rollout: each rule, and which comes before which."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from lakehouse.rollouts.actions import ABORT, FINISH, HOLD, STEP
from lakehouse.rollouts.sequential import Block, Pairs
from lakehouse.rollouts.state import Rollout, rollouts_of, running
from lakehouse.rollouts.verdict import Labelled, Scored, judge_rollout, judge_scored
from lakehouse.settings import RolloutSettings

BEGAN = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
CANARY = Rollout("small-2-1", "canary", "1", "2", 0.05, BEGAN, BEGAN, BEGAN)
SETTINGS = RolloutSettings(strategy="canary")
QUIET = Scored(2_000, 0, 100, 0.01)
EVEN, GOOD, BAD = Pairs(1_000, 20, 20), Pairs(1_000, 60, 20), Pairs(1_000, 20, 60)


def verdict_after(
    days: float,
    pairs: Pairs = EVEN,
    rollout: Rollout = CANARY,
    scored: Scored = QUIET,
    settings: RolloutSettings = SETTINGS,
    **labelled: Any,
) -> Any:
    as_of = BEGAN + dt.timedelta(days=days)
    return judge_rollout(rollout, as_of, scored, Labelled(pairs, **labelled), settings)


def decided(*given: Any, **named: Any) -> tuple[str, str]:
    found = verdict_after(*given, **named)
    return found.action, found.rule


def test_a_better_challenger_finishes_once_the_first_step_has_lasted() -> None:
    assert decided(1.9, GOOD) == (HOLD, "undecided")
    found = verdict_after(2, GOOD)
    assert (found.action, found.rule, found.share) == (FINISH, "better", 0.0)
    assert found.reason == (
        "the challenger is better: of 1000 rows, it won 60 and lost 20; evidence e^9.0 for better, "
        "e^-3.7 for worse"
    )
    assert found.evidence["won"] == 60


def test_a_worse_challenger_is_aborted_at_once() -> None:
    assert decided(0.1, BAD) == (ABORT, "worse")


def test_an_even_challenger_takes_the_next_share_and_is_given_up_in_the_end() -> None:
    found = verdict_after(2)
    assert (found.action, found.share) == (STEP, 0.25)
    at_quarter = replace(CANARY, share=0.25, stepped=BEGAN + dt.timedelta(days=2))
    assert decided(3.9, rollout=at_quarter) == (HOLD, "undecided")
    assert verdict_after(4, rollout=at_quarter).share == 0.5
    at_half = replace(CANARY, share=0.5)
    assert decided(13.9, rollout=at_half) == (HOLD, "undecided")
    assert decided(14, rollout=at_half) == (ABORT, "longest")
    assert decided(14, GOOD, rollout=at_half) == (FINISH, "better")


def test_a_shadow_and_an_ab_test_have_no_next_share() -> None:
    for strategy, share in (("shadow", 0.0), ("ab", 0.5)):
        own = replace(CANARY, strategy=strategy, share=share)
        assert decided(5, rollout=own, settings=RolloutSettings(strategy=strategy)) == (
            HOLD,
            "undecided",
        )


def test_one_row_without_an_answer_ends_a_rollout_whatever_the_labels_say() -> None:
    failed = replace(QUIET, errors=1)
    assert decided(5, GOOD, scored=failed) == (ABORT, "errors")
    found = judge_scored(CANARY, failed, SETTINGS)
    assert found is not None
    assert found.reason == "the challenger gave no finite answer for 1 of 2,000 rows"
    assert judge_scored(CANARY, QUIET, SETTINGS) is None


def test_a_slow_challenger_is_aborted_once_a_thousand_rows_were_timed() -> None:
    bounded = RolloutSettings(strategy="canary", milliseconds_per_thousand=4)
    assert judge_scored(CANARY, replace(QUIET, seconds=0.007), bounded) is None
    slow = judge_scored(CANARY, replace(QUIET, seconds=0.009), bounded)
    assert slow is not None
    assert slow.rule == "latency"
    assert judge_scored(CANARY, Scored(999, 0, 0, 9.0), bounded) is None


def test_disagreement_is_held_against_its_bound_with_the_error_rate_of_worse() -> None:
    bounded = RolloutSettings(strategy="shadow", disagreement=0.05)
    assert judge_scored(CANARY, replace(QUIET, disagreements=110), bounded) is None
    found = judge_scored(CANARY, replace(QUIET, disagreements=150), bounded)
    assert found is not None
    assert found.reason == "both differ on 150 of 2,000 rows, 5.0% allowed"


def test_a_slice_that_falls_ends_a_rollout_and_halves_the_error_rate_of_the_whole() -> None:
    fine, falls = Pairs(400, 20, 20), Pairs(300, 5, 40)
    assert decided(3, slices={"a": fine, "b": falls}) == (ABORT, "slice")
    settings = RolloutSettings(strategy="canary", slice_fall=0.2)
    assert decided(3, slices={"a": fine, "b": falls}, settings=settings)[0] == STEP
    nearly = Pairs(1_000, 20, 44)
    assert decided(1, nearly)[0] == ABORT
    assert decided(1, nearly, slices={"a": fine})[0] == HOLD


def test_where_the_label_follows_the_prediction_arms_are_compared_and_pairs_are_not() -> None:
    settings = RolloutSettings(strategy="ab", label_follows_prediction=True)
    own = replace(CANARY, strategy="ab", share=0.5)
    good = [Block(100, 80, 100, 95)] * 6
    assert decided(5, BAD, rollout=own, settings=settings, blocks=good) == (FINISH, "better")
    assert decided(5, GOOD, rollout=own, settings=settings) == (HOLD, "undecided")
    bad = [Block(100, 95, 100, 80)] * 6
    assert decided(1, GOOD, rollout=own, settings=settings, blocks=bad) == (ABORT, "worse")


def row(action: str, name: str, minute: int, share: float = 0.05) -> dict[str, Any]:
    at = BEGAN + dt.timedelta(minutes=minute)
    return {
        **{"action": action, "rollout_id": name, "strategy": "canary", "reason": action},
        **{"champion": "1", "challenger": "2", "share": share, "as_of": at, "recorded_at": at},
    }


def test_a_rollout_that_has_ended_is_not_changed_by_later_rows() -> None:
    rows = [row("start", "a", 0), row("abort", "a", 1), row("step", "a", 2, 0.5)]
    [found] = rollouts_of(rows).values()
    assert (found.ended, found.share) == (ABORT, 0.05)
    assert running(rows) is None
    again = running([*rows, row("start", "b", 3)])
    assert again is not None
    assert again.rollout_id == "b"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"strategy": "canary", "shares": [0.5, 0.25]}, "shares: write them in rising order"),
        ({"strategy": "canary", "shares": [0.5, 1.0]}, "shares: write numbers between 0 and 1"),
        ({"strategy": "ab", "shares": [0.1, 0.5]}, "shares: write one for ab"),
        ({"shares": [0.5]}, "shares: leave them out; immediate has none"),
        ({"longest": "31 days"}, "longest: write 30 days or less"),
        ({"strategy": "shadow", "longest": "1 day"}, "longest is shorter than dwell"),
        (
            {"strategy": "shadow", "label_follows_prediction": True},
            "nothing that a shadow says has a label then",
        ),
    ],
)
def test_a_rollout_that_cannot_be_is_refused_with_what_to_write(
    given: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        RolloutSettings.model_validate(given)
