import numpy as np
import pytest
from scipy.stats import beta, binom

from lakehouse.estimators import Classification, Regression
from lakehouse.settings import MarginSettings
from lakehouse.steps.decide import REFRESH, RETRAIN
from lakehouse.steps.promote import judge, judge_first, probability_better

BINARY = Classification((0, 1), 1)
MARGINS = MarginSettings(accuracy_drop=0.1, alarm=12.0, first_gain=0.05, confidence=0.99)


def pairs(won: int, lost: int, both_right: int = 0, both_wrong: int = 0):
    """Codes, the champion's and the challenger's predictions with so many pairs of each kind."""
    kinds = [(0, 1)] * won + [(1, 0)] * lost + [(1, 1)] * both_right + [(0, 0)] * both_wrong
    right = np.array(kinds).reshape(-1, 2)
    return np.ones(len(right), dtype=int), right[:, 0], right[:, 1]


@pytest.mark.parametrize(("won", "lost"), [(0, 0), (1, 0), (0, 1), (10, 3), (102, 11), (500, 480)])
def test_probability_better_is_the_beta_distributions(won, lost):
    assert probability_better(won, lost) == pytest.approx(beta(1 + won, 1 + lost).sf(0.5), rel=1e-9, abs=1e-12)


def test_rows_on_which_both_are_right_or_wrong_say_nothing():
    few = judge(RETRAIN, BINARY, *pairs(10, 3), MARGINS)
    many = judge(RETRAIN, BINARY, *pairs(10, 3, both_right=500, both_wrong=100), MARGINS)
    assert few.evidence["probability_better"] == many.evidence["probability_better"]
    assert (many.evidence["won"], many.evidence["lost"], many.evidence["rows"]) == (10, 3, 613)
    assert many.evidence["champion_accuracy"] == pytest.approx(503 / 613)
    assert many.evidence["challenger_accuracy"] == pytest.approx(510 / 613)


@pytest.mark.parametrize(("won", "lost", "promote"), [(5, 0, False), (6, 0, True), (0, 9, False)])
def test_after_an_alarm_the_confidence_must_be_reached(won, lost, promote):
    assert judge(RETRAIN, BINARY, *pairs(won, lost, 50), MARGINS).promote is promote  # 1 - 1/2^6 and 1 - 1/2^7


@pytest.mark.parametrize(("won", "lost", "promote"), [(0, 0, True), (0, 5, True), (0, 6, False)])
def test_a_refresh_is_refused_only_where_it_is_credibly_worse(won, lost, promote):
    assert judge(REFRESH, BINARY, *pairs(won, lost, 50), MARGINS).promote is promote


@pytest.mark.parametrize("action", [RETRAIN, REFRESH])
def test_it_refuses_without_rows_that_both_are_new_to(action):
    nothing = np.array([], dtype=int)
    verdict = judge(action, BINARY, nothing, nothing, nothing, MARGINS)
    assert not verdict.promote
    assert verdict.reason == "no labelled row that both models are new to"


def test_the_first_model_must_beat_the_majority_class_by_the_margin():
    codes = np.array([1] * 60 + [0] * 40)
    at_margin, below = codes.copy(), codes.copy()
    at_margin[:35] = 0
    below[:36] = 0
    assert judge_first(BINARY, codes, at_margin, MARGINS).promote
    verdict = judge_first(BINARY, codes, below, MARGINS)
    assert not verdict.promote
    assert verdict.evidence == {"challenger_accuracy": 0.64, "baseline_accuracy": 0.6, "rows": 100}


def promoted(random, runs: int, p_champion: float, p_challenger: float, rows: int = 400) -> int:
    """How often a challenger of that accuracy is promoted after an alarm; the two err independently."""
    codes = np.ones(rows, dtype=int)
    return sum(
        judge(
            RETRAIN,
            BINARY,
            codes,
            (random.random(rows) < p_champion).astype(int),
            (random.random(rows) < p_challenger).astype(int),
            MARGINS,
        ).promote
        for _ in range(runs)
    )


def test_an_equal_challenger_is_promoted_no_more_often_than_the_confidence_allows():
    runs = 3000
    taken = promoted(np.random.default_rng(1), runs, 0.9, 0.9)
    assert binom(runs, 1 - MARGINS.confidence).sf(taken - 1) > 0.001  # as many are credible at a rate of 1 %
    assert taken > 0


def test_a_challenger_that_is_much_better_is_promoted():
    runs = 300
    taken = promoted(np.random.default_rng(2), runs, 0.75, 0.94, rows=192)
    assert binom(runs, 0.95).sf(taken - 1) < 0.001


NUMBER = Regression(tolerance=10.0)


def test_a_number_wins_a_row_by_being_nearer_to_the_label_and_a_tie_says_nothing():
    labels = np.array([100.0, 100.0, 100.0, 100.0, 100.0])
    champion = np.array([103.0, 150.0, 99.0, 104.0, 96.0])
    challenger = np.array([98.0, 149.0, 97.0, 96.0, 96.0])  # nearer, nearer though wrong, farther, as far, the same
    verdict = judge(RETRAIN, NUMBER, labels, champion, challenger, MARGINS)
    assert verdict.evidence == {
        "rows": 5,
        "champion_mean_absolute_error": pytest.approx((3 + 50 + 1 + 4 + 4) / 5),
        "champion_within_tolerance": 0.8,
        "challenger_mean_absolute_error": pytest.approx((2 + 49 + 3 + 4 + 4) / 5),
        "challenger_within_tolerance": 0.8,
        "won": 2,
        "lost": 1,
        "probability_better": pytest.approx(beta(3, 2).sf(0.5)),
        "needed": 0.99,
    }
    assert verdict.reason.startswith(
        "of 5 rows, 2 predicted better by the challenger alone and 1 by the champion alone"
    )


@pytest.mark.parametrize(("rows", "promote"), [(5, False), (6, True)])
def test_a_regressor_that_is_nearer_on_every_row_needs_as_many_rows_as_a_classifier(rows, promote):
    labels = np.arange(float(rows))
    assert judge(RETRAIN, NUMBER, labels, labels + 2, labels - 1, MARGINS).promote is promote


def test_a_champion_that_gives_no_number_loses_the_row():
    labels = np.zeros(6)
    verdict = judge(RETRAIN, NUMBER, labels, np.full(6, np.nan), labels + 99, MARGINS)
    assert (verdict.promote, verdict.evidence["won"], verdict.evidence["lost"]) == (True, 6, 0)


@pytest.mark.parametrize(("noise", "promote"), [(0.97, True), (0.98, False)])
def test_the_first_regressor_must_beat_the_mean_label_by_the_margin_in_r2(noise, promote):
    labels = np.tile([-1.0, 1.0], 50)  # R² = 1 - noise², and 1 - 0.05 = 0.9747²
    verdict = judge_first(NUMBER, labels, labels + noise * np.repeat([-1.0, 1.0], 50), MARGINS)
    assert verdict.promote is promote
    assert verdict.evidence == {
        "challenger_r2_score": pytest.approx(1 - noise**2),
        "challenger_mean_absolute_error": pytest.approx(noise),
        "challenger_within_tolerance": 1.0,
        "baseline_r2_score": 0.0,
        "rows": 100,
    }


@pytest.mark.parametrize(("n_right", "promote"), [(10, False), (11, True)])
def test_a_first_model_that_is_right_too_rarely_for_the_alarm_is_refused(n_right, promote):
    labels = np.linspace(0, 10_000, 100)
    found = labels + np.where(np.arange(100) < n_right, 5, 15)  # R² is nearly 1
    verdict = judge_first(NUMBER, labels, found, MARGINS)
    assert verdict.promote is promote
    assert ("right on 10.0% of them, which cannot fall by the 0.1 of the alarm" in verdict.reason) is not promote
