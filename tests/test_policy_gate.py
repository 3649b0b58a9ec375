from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from lakehouse.settings import GateSettings, ProbationSettings
from lakehouse.steps.policy.gate import Challenger, Duel, duel, judge, on_probation, probation

GATE = GateSettings()
CODES = np.array([1] * 40)
RIGHT, WRONG = np.ones(40, int), np.zeros(40, int)


def calls(right: int) -> np.ndarray:
    return np.array([1] * right + [0] * (40 - right))


def test_a_duel_counts_the_pairs_on_which_one_alone_is_right():
    found = duel(np.array([1, 1, 0, 0]), np.array([1, 0, 0, 1]), np.array([0, 1, 0, 1]))
    assert (found.rows, found.won, found.lost, found.gain) == (4, 1, 1, 0.0)


def test_the_probability_is_the_share_of_the_beta_above_a_half():
    draws = np.random.default_rng(0).beta(1 + 7, 1 + 3, 400_000)
    assert Duel(100, 7, 3).better == pytest.approx((draws > 0.5).mean(), abs=0.003)


@pytest.mark.parametrize(("won", "lost", "passes"), [(5, 0, True), (3, 3, False), (0, 5, False)])
def test_the_better_one_passes(won: int, lost: int, passes: bool):
    champion = np.array([0] * won + [1] * (40 - won))
    challenger = np.array([1] * won + [0] * lost + [1] * (40 - won - lost))
    assert judge(Challenger(CODES, champion, challenger), 0.6, GATE).passed is passes


def test_a_refresh_is_refused_only_on_evidence_against_it():
    even = Challenger(CODES, calls(38), calls(38))
    assert judge(even, GATE.least_confidence, GATE).passed
    assert not judge(Challenger(CODES, calls(38), calls(30)), GATE.least_confidence, GATE).passed


@pytest.mark.parametrize(
    ("flaw", "says"),
    [
        ({"finite": False}, "not finite"),
        ({"classes": 1}, "single class"),
        ({"same_schema": False}, "other features"),
    ],
)
def test_what_cannot_be_served_is_refused_whatever_its_accuracy(flaw: dict, says: str):
    verdict = judge(Challenger(CODES, WRONG, RIGHT, **flaw), 0.6, GATE)
    assert not verdict.passed
    assert says in verdict.reason


@pytest.mark.parametrize(("took", "passes"), [(4.0, True), (6.0, False), (None, False)])
def test_a_latency_budget_is_kept(took: float | None, passes: bool):
    gate = GateSettings(milliseconds_per_thousand=5.0)
    assert judge(Challenger(CODES, WRONG, RIGHT, milliseconds=took), 0.6, gate).passed is passes


def test_where_labels_of_new_classes_have_come_no_worse_is_enough():
    equal = Challenger(np.ones(40, int), calls(30), calls(30))
    assert not judge(equal, 0.6, GateSettings()).passed
    judgement = judge(replace(equal, of_new_classes=1), 0.6, GateSettings())
    assert judgement.passed
    assert judgement.evidence["needed"] == GateSettings().least_confidence
    worse = replace(equal, calls=calls(20), of_new_classes=1)
    assert not judge(worse, 0.6, GateSettings()).passed


def test_a_slice_may_not_pay_for_the_others():
    codes, champion = np.ones(400, int), np.zeros(400, int)
    champion[:40] = 1
    challenger = np.ones(400, int)
    challenger[:10] = 0
    inside = np.arange(400) < 40
    verdict = judge(Challenger(codes, champion, challenger, slices={"line=A": inside}), 0.6, GATE)
    assert not verdict.passed
    assert verdict.reason == "in slice line=A it is 25.0% worse, on 40 rows; 5.0% allowed"
    assert judge(Challenger(codes, champion, challenger), 0.6, GATE).passed


def test_two_lost_rows_do_not_make_a_slice_worse():
    codes, champion, challenger = np.ones(40, int), np.zeros(40, int), np.ones(40, int)
    champion[:8], challenger[:2] = 1, 0
    assert judge(Challenger(codes, champion, challenger, slices={"a": np.arange(40) < 8}), 0.6, GATE).passed


@pytest.mark.parametrize(("confidence", "most"), [(0.6, 0.45), (0.9, 0.12), (0.99, 0.012)])
def test_an_equal_challenger_passes_as_rarely_as_stated(confidence: float, most: float):
    """With no difference, each pair falls either way: exactly, over the outcomes of 30 pairs."""
    passes = [Duel(200, won, 30 - won).better >= confidence for won in range(31)]
    assert binom.pmf(np.arange(31), 30, 0.5)[passes].sum() <= most


def test_a_clearly_better_challenger_passes():
    """28 rows, of which 6 are won on average and none is lost, as after the demo's second drift."""
    passes = [Duel(28, won, 0).better >= 0.6 for won in range(29)]
    assert binom.pmf(np.arange(29), 28, 6 / 28)[passes].sum() > 0.99


def test_probation_ends_and_a_worse_champion_fails_it():
    settings = ProbationSettings(rows=400, confidence=0.99)
    assert on_probation(400, settings)
    assert not on_probation(401, settings)
    assert probation(Duel(192, 3, 3), settings).passed
    assert probation(Duel(192, 0, 5), settings).passed
    assert not probation(Duel(192, 0, 9), settings).passed


def test_an_equal_champion_is_hardly_ever_rolled_back():
    settings = ProbationSettings(confidence=0.99)
    fails = [not probation(Duel(192, won, 20 - won), settings).passed for won in range(21)]
    assert binom.pmf(np.arange(21), 20, 0.5)[fails].sum() <= 0.011
