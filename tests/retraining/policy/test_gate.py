from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import beta, binom

from lakehouse.models import Classification, Regression
from lakehouse.retraining.policy.gate import (
    Challenger,
    PairedComparison,
    compare,
    judge,
    judge_first,
    on_probation,
    probability_better,
    probation,
)
from lakehouse.settings import GateSettings, ProbationSettings

GATE = GateSettings()
BINARY, NUMBER = Classification((0, 1), 1), Regression(tolerance=10.0)
CODES = np.array([1] * 40)
RIGHT, WRONG = np.ones(40, int), np.zeros(40, int)


def predictions(right: int) -> np.ndarray:
    return np.array([1] * right + [0] * (40 - right))


def test_a_comparison_counts_the_pairs_on_which_one_alone_is_right():
    found = compare(BINARY, np.array([1, 1, 0, 0]), np.array([1, 0, 0, 1]), np.array([0, 1, 0, 1]))
    assert (found.rows, found.won, found.lost, found.gain) == (4, 1, 1, 0.0)


@pytest.mark.parametrize(("won", "lost"), [(0, 0), (1, 0), (0, 1), (10, 3), (102, 11), (500, 480)])
def test_probability_better_is_the_beta_distributions(won: int, lost: int):
    assert probability_better(won, lost) == pytest.approx(
        beta(1 + won, 1 + lost).sf(0.5), rel=1e-9, abs=1e-12
    )


def test_the_probability_is_the_share_of_the_beta_above_a_half():
    draws = np.random.default_rng(0).beta(1 + 7, 1 + 3, 400_000)
    assert PairedComparison(100, 7, 3).better == pytest.approx((draws > 0.5).mean(), abs=0.003)


@pytest.mark.parametrize(("won", "lost", "passes"), [(5, 0, True), (3, 3, False), (0, 5, False)])
def test_the_better_one_passes(won: int, lost: int, passes: bool):
    champion = np.array([0] * won + [1] * (40 - won))
    challenger = np.array([1] * won + [0] * lost + [1] * (40 - won - lost))
    assert judge(Challenger(BINARY, CODES, champion, challenger), 0.6, GATE).passed is passes


def test_a_refresh_is_refused_only_on_evidence_against_it():
    even = Challenger(BINARY, CODES, predictions(38), predictions(38))
    assert judge(even, GATE.least_confidence, GATE).passed
    assert not judge(
        Challenger(BINARY, CODES, predictions(38), predictions(30)), GATE.least_confidence, GATE
    ).passed


def test_a_challenger_that_predicts_the_same_for_all_rows_is_refused_whatever_its_accuracy():
    result = judge(Challenger(BINARY, CODES, WRONG, RIGHT, distinct=1), 0.6, GATE)
    assert (result.passed, result.reason) == (False, "it predicts the same, whatever the row")


@pytest.mark.parametrize(("took", "passes"), [(4.0, True), (6.0, False), (None, False)])
def test_a_latency_budget_is_kept(took: float | None, passes: bool):
    gate = GateSettings(milliseconds_per_thousand=5.0)
    assert (
        judge(Challenger(BINARY, CODES, WRONG, RIGHT, milliseconds=took), 0.6, gate).passed
        is passes
    )


def test_where_labels_of_new_classes_have_come_no_worse_is_enough():
    equal = Challenger(BINARY, np.ones(40, int), predictions(30), predictions(30))
    assert not judge(equal, 0.6, GateSettings()).passed
    judgement = judge(replace(equal, of_new_classes=1), 0.6, GateSettings())
    assert judgement.passed
    assert judgement.evidence["needed"] == GateSettings().least_confidence
    worse = replace(equal, predictions=predictions(20), of_new_classes=1)
    assert not judge(worse, 0.6, GateSettings()).passed


def test_a_slice_may_not_pay_for_the_others():
    labels, champion = np.ones(400, int), np.zeros(400, int)
    champion[:40] = 1
    challenger = np.ones(400, int)
    challenger[:10] = 0
    inside = np.arange(400) < 40
    verdict = judge(
        Challenger(BINARY, labels, champion, challenger, slices={"line=A": inside}), 0.6, GATE
    )
    assert not verdict.passed
    assert verdict.reason == "in slice line=A it is 25.0% worse, on 40 rows; 5.0% allowed"
    assert judge(Challenger(BINARY, labels, champion, challenger), 0.6, GATE).passed


def test_two_lost_rows_do_not_make_a_slice_worse():
    labels, champion, challenger = np.ones(40, int), np.zeros(40, int), np.ones(40, int)
    champion[:8], challenger[:2] = 1, 0
    assert judge(
        Challenger(BINARY, labels, champion, challenger, slices={"a": np.arange(40) < 8}), 0.6, GATE
    ).passed


@pytest.mark.parametrize(("confidence", "most"), [(0.6, 0.45), (0.9, 0.12), (0.99, 0.012)])
def test_an_equal_challenger_passes_as_rarely_as_stated(confidence: float, most: float):
    """With no difference, each pair falls either way: exactly, over the outcomes of 30 pairs."""
    passes = [PairedComparison(200, won, 30 - won).better >= confidence for won in range(31)]
    assert binom.pmf(np.arange(31), 30, 0.5)[passes].sum() <= most


def test_a_clearly_better_challenger_passes():
    """28 rows, of which 6 are won on average and none is lost, as after the demo's second drift."""
    passes = [PairedComparison(28, won, 0).better >= 0.6 for won in range(29)]
    assert binom.pmf(np.arange(29), 28, 6 / 28)[passes].sum() > 0.99


def test_probation_ends_and_a_worse_champion_fails_it():
    settings = ProbationSettings(rows=400, confidence=0.99)
    assert on_probation(400, settings)
    assert not on_probation(401, settings)
    assert probation(BINARY, PairedComparison(192, 3, 3), settings).passed
    assert probation(BINARY, PairedComparison(192, 0, 5), settings).passed
    assert not probation(BINARY, PairedComparison(192, 0, 9), settings).passed


def test_an_equal_champion_is_hardly_ever_rolled_back():
    settings = ProbationSettings(confidence=0.99)
    fails = [
        not probation(BINARY, PairedComparison(192, won, 20 - won), settings).passed
        for won in range(21)
    ]
    assert binom.pmf(np.arange(21), 20, 0.5)[fails].sum() <= 0.011


def test_a_rollback_says_how_many_rows_each_version_won():
    result = probation(NUMBER, PairedComparison(192, 0, 9), ProbationSettings(confidence=0.99))
    words = "of its first 192 labels, 0 predicted better by it alone and 9 by the version before"
    assert result.reason.startswith(words)


def test_the_first_model_must_avoid_its_share_of_the_majority_classs_errors():
    labels = np.array([1] * 60 + [0] * 40)
    at_margin, below = labels.copy(), labels.copy()
    at_margin[:38] = 0  # two of the forty errors avoided: a twentieth
    below[:39] = 0
    assert judge_first(BINARY, labels, at_margin, GATE).passed
    result = judge_first(BINARY, labels, below, GATE)
    assert not result.passed
    assert result.evidence == {"challenger_accuracy": 0.61, "baseline_accuracy": 0.6, "rows": 100}


def of_a_rare_class(found: int, false_alarms: int) -> np.ndarray:
    """Predictions for 1,000 rows of which the first fifty are of the rare class."""
    predicted = np.zeros(1_000, int)
    predicted[:found] = 1
    predicted[50 : 50 + false_alarms] = 1
    return predicted


@pytest.mark.parametrize(
    ("found", "false_alarms", "passes"),
    [
        (40, 10, True),  # 20 errors where the majority class makes 50
        (25, 20, True),
        (0, 0, False),  # it always says the majority class
        (1, 40, False),
        (25, 24, False),  # 49 errors: a fiftieth avoided
    ],
)
def test_a_first_model_of_a_class_of_one_row_in_twenty_passes_when_it_is_good_alone(
    found: int, false_alarms: int, passes: bool
):
    labels = of_a_rare_class(50, 0)
    assert judge_first(BINARY, labels, of_a_rare_class(found, false_alarms), GATE).passed is passes


def test_what_a_challenger_gains_is_the_rows_that_it_won_but_for_those_that_it_lost():
    champion, challenger = predictions(30), predictions(36)
    challenger[:2] = 0
    assert judge(Challenger(BINARY, CODES, champion, challenger), 0.4, GATE).gain == 6 - 2
    assert judge_first(BINARY, np.tile([0, 1], 20), CODES, GATE).gain == 0


@pytest.mark.parametrize(("noise", "passes"), [(0.97, True), (0.98, False)])
def test_the_first_regressor_must_beat_the_mean_label_by_the_margin_in_r2(
    noise: float, passes: bool
):
    labels = np.tile([-1.0, 1.0], 50)  # R² = 1 - noise², and 1 - 0.05 = 0.9747²
    result = judge_first(NUMBER, labels, labels + noise * np.repeat([-1.0, 1.0], 50), GATE)
    assert result.passed is passes
    assert result.evidence == {
        "challenger_r2_score": pytest.approx(1 - noise**2),
        "challenger_mean_absolute_error": pytest.approx(noise),
        "challenger_within_tolerance": 1.0,
        "baseline_r2_score": 0.0,
        "rows": 100,
    }


@pytest.mark.parametrize(("n_right", "passes"), [(10, False), (11, True)])
def test_a_first_model_that_is_hardly_ever_right_is_refused(n_right: int, passes: bool):
    labels = np.linspace(0, 10_000, 100)
    found = labels + np.where(np.arange(100) < n_right, 5, 15)  # R² is nearly 1
    result = judge_first(NUMBER, labels, found, GATE)
    assert result.passed is passes
    assert ("right on 10.0% of them, more than 10% needed" in result.reason) is not passes


def test_a_number_wins_a_row_by_being_nearer_to_the_label_and_a_tie_says_nothing():
    labels = np.array([100.0, 100.0, 100.0, 100.0, 100.0])
    champion = np.array([103.0, 150.0, 99.0, 104.0, 96.0])
    challenger = np.array(
        [98.0, 149.0, 97.0, 96.0, 96.0]
    )  # nearer, nearer though wrong, farther, as far, the same
    result = judge(Challenger(NUMBER, labels, champion, challenger), 0.99, GATE)
    assert result.evidence == {
        "rows": 5,
        "champion_mean_absolute_error": pytest.approx((3 + 50 + 1 + 4 + 4) / 5),
        "champion_within_tolerance": 0.8,
        "challenger_mean_absolute_error": pytest.approx((2 + 49 + 3 + 4 + 4) / 5),
        "challenger_within_tolerance": 0.8,
        "won": 2,
        "lost": 1,
        "probability_better": pytest.approx(beta(3, 2).sf(0.5)),
        "needed": 0.99,
        "avoided": 0,
    }
    assert result.reason.startswith(
        "of 5 rows, 2 predicted better by the challenger alone and 1 by the champion alone"
    )


def test_a_champion_that_gives_no_number_loses_the_row():
    labels = np.zeros(6)
    result = judge(Challenger(NUMBER, labels, np.full(6, np.nan), labels + 99), 0.9, GATE)
    assert (result.passed, result.evidence["won"], result.evidence["lost"]) == (True, 6, 0)
