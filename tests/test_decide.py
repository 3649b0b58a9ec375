import datetime as dt

import numpy as np
import pytest
from scipy.stats import beta, binom

from lakehouse.settings import MarginSettings, TrainingSettings
from lakehouse.steps.decide import (
    KEEP,
    REFRESH,
    RETRAIN,
    TRAIN_FIRST,
    WAIT,
    Champion,
    LabelledHour,
    decide,
    reference_error_rate,
)
from tests.rows import moment

START = moment("2024-03-01T00:00:00")
TRAINING = TrainingSettings(first_after=100, families={"decision_tree": {"max_depth": [3]}})
MARGINS = MarginSettings(
    accuracy_drop=0.1, alarm=12.0, first_gain=0.05, confidence=0.99, refresh_growth=2.0, refresh_until=1500
)
FIRST = Champion("1", judged=1000, wrong=60, changed_at=None, since_change=0)
PER_HOUR = 8  # 192 a day


def hours(wrong: list[int], version: str = "1", start: dt.datetime = START, labelled: int = PER_HOUR):
    return [LabelledHour(start + dt.timedelta(hours=n), version, labelled, errors) for n, errors in enumerate(wrong)]


def decided(champion: Champion | None, given=(), n_labelled: int = 0):
    return decide(champion, given, n_labelled, TRAINING, MARGINS)


def test_without_a_champion_it_waits_until_enough_rows_are_labelled():
    short, enough = decided(None, n_labelled=99), decided(None, n_labelled=100)
    assert (short.action, short.retrain) == (WAIT, False)
    assert (enough.action, enough.retrain) == (TRAIN_FIRST, True)
    assert short.reasons == ("99 of 100 labelled rows have come for the first model",)


def test_it_keeps_a_champion_that_errs_as_often_as_it_did_in_training():
    decision = decided(FIRST, hours([1, 0] * 48))
    assert (decision.action, decision.retrain) == (KEEP, False)
    assert decision.evidence["threshold"] == 12.0


def test_it_keeps_a_champion_of_which_nothing_is_labelled_yet():
    assert decided(FIRST).action == KEEP


def test_it_retrains_from_the_hour_in_which_the_errors_began():
    decision = decided(FIRST, hours([0, 1] * 36 + [3] * 24))
    assert (decision.action, decision.retrain) == (RETRAIN, True)
    # The last right hour before the rise brings the sum to zero; hour 71 erred once and so begins the change.
    assert decision.change_at in (START + dt.timedelta(hours=71), START + dt.timedelta(hours=72))
    assert decision.evidence["score"] > decision.evidence["threshold"]
    assert decision.evidence["labelled_since_change"] in (24 * PER_HOUR, 25 * PER_HOUR)
    assert f"since {decision.change_at:%Y-%m-%d %H:%M}" in decision.reasons[0]


def test_another_versions_errors_are_not_the_champions():
    assert decided(FIRST, hours([8] * 24, version="2")).action == KEEP
    assert decided(FIRST, sorted(hours([8] * 24, version="2") + hours([0] * 24), key=lambda h: h.start)).action == KEEP


@pytest.mark.parametrize(("rows", "action"), [(199, KEEP), (200, REFRESH)])
def test_it_refreshes_once_the_rows_since_the_change_have_doubled(rows, action):
    champion = Champion("2", judged=100, wrong=6, changed_at=START, since_change=100)
    older = hours([0], start=START - dt.timedelta(hours=1), labelled=1000)  # before the change: not counted
    given = older + hours([6], version="1", labelled=100) + hours([0], "2", START + dt.timedelta(hours=1), rows - 100)
    decision = decided(champion, given)
    assert decision.action == action
    assert action == KEEP or decision.change_at == START


def test_it_stops_to_refresh_when_the_champion_has_seen_enough():
    def champion(seen):
        return Champion("2", judged=seen, wrong=60, changed_at=START, since_change=seen)

    given = hours([50], version="2", labelled=5000)
    assert decided(champion(1499), given).action == REFRESH
    assert decided(champion(1500), given).action == KEEP


def test_a_first_model_is_never_refreshed():
    assert decided(FIRST, hours([200], labelled=5000)).action == KEEP


def test_an_alarm_comes_before_a_refresh():
    champion = Champion("2", judged=100, wrong=6, changed_at=START, since_change=100)
    assert decided(champion, hours([4] * 60, version="2")).action == RETRAIN


def test_the_reference_is_the_upper_80_percent_bound_of_the_cross_fitted_errors():
    assert reference_error_rate(FIRST) == pytest.approx(beta(60.5, 940.5).ppf(0.8), rel=1e-9)
    assert reference_error_rate(Champion("1", 100_000, 0, None, 0)) == 0.01  # no errors at all is not believed


def simulated(random, days: int, rate: float, drop: float = 0.0, quiet_days: int = 0):
    rates = np.where(np.arange(days * 24) < quiet_days * 24, rate, rate + drop)
    return hours(random.binomial(PER_HOUR, rates).tolist())


def test_false_alarms_are_rare_at_the_reference_rate():
    """30 days at the champion's true rate, judged once at the end: with 99.9 % confidence below 2 in 100."""
    random = np.random.default_rng(20)
    runs = 600
    alarms = sum(
        decided(Champion("1", 1150, int(random.binomial(1150, 0.06)), None, 0), simulated(random, 30, 0.06)).retrain
        for _ in range(runs)
    )
    assert beta(alarms + 1, runs - alarms).ppf(0.999) < 0.02  # Clopper-Pearson


def test_a_fall_of_20_points_is_seen_within_two_batches():
    random = np.random.default_rng(21)
    runs, seen = 400, 0
    for _ in range(runs):
        champion = Champion("1", 1150, int(random.binomial(1150, 0.06)), None, 0)
        seen += decided(champion, simulated(random, 7, 0.06, drop=0.2, quiet_days=5)).retrain
    assert binom(runs, 0.95).sf(seen - 1) < 0.001  # so many are not seen by luck if fewer than 95 % are detected


def test_the_change_point_is_close_to_where_it_began():
    random = np.random.default_rng(22)
    found = [decided(FIRST, simulated(random, 7, 0.06, drop=0.2, quiet_days=5)).change_at for _ in range(200)]
    offsets = [(at - START - dt.timedelta(days=5)).total_seconds() / 3600 for at in found if at]
    assert len(offsets) == 200
    assert abs(np.median(offsets)) <= 3
    assert np.mean(np.abs(offsets) <= 12) > 0.9
