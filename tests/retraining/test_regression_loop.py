"""The whole loop of a regression on a scenario of its own: a drift noticed, mended, over again; a
rollback.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import beta

from lakehouse.retraining.policy.decide import REFRESH, RETRAIN, TRAIN_FIRST
from lakehouse.settings import GateSettings, PolicySettings
from lakehouse.simulation.loop import Simulation
from lakehouse.simulation.policies import POLICIES
from lakehouse.versions.actions import PROMOTE, REFUSE, ROLLBACK
from tests.support.prices import A_DAY, DAY, DEARER_ABOVE, FIRST_AFTER, START, TREE, Prices, prices
from tests.support.treachery import betrayed

CHANGED_ON, OVER_ON = 12, 20


def wrong_by_day(plant: Prices, loop: Simulation) -> np.ndarray:
    """Share of each day's predictions that are farther from the label than the tolerance."""
    return plant.rows.wrong(loop.predicted_in_production).reshape(-1, A_DAY).mean(axis=1)


@pytest.fixture(scope="module")
def plant() -> Prices:
    return prices(28, seed=2, dearer=(CHANGED_ON, OVER_ON))


@pytest.fixture(scope="module")
def loop(plant: Prices) -> Simulation:
    return Simulation(plant, PolicySettings(), TREE, FIRST_AFTER).run()


def alarms(loop: Simulation) -> list:
    return [event for event in loop.events if event.decision.action == RETRAIN]


def test_the_drift_is_noticed_with_the_first_labels_of_it_and_dated(loop: Simulation):
    before = [
        event.decision.action
        for event in loop.events
        if event.as_of < START + (CHANGED_ON + 2) * DAY
    ]
    assert before[0] == TRAIN_FIRST
    assert set(before[1:]) == {REFRESH}
    first = alarms(loop)[0]
    assert first.as_of == START + (CHANGED_ON + 2) * DAY
    assert abs(first.decision.change_at - (START + CHANGED_ON * DAY)) <= np.timedelta64(6, "h")
    assert first.decision.change_between[1] - first.decision.change_between[0] <= np.timedelta64(
        12, "h"
    )


def test_the_drift_is_mended_by_the_rows_that_the_new_labels_do_not_contradict(
    plant: Prices, loop: Simulation
):
    first = alarms(loop)[0]
    assert (first.action, first.candidate.startswith("transfer from")) == (PROMOTE, True)
    assert first.gain > 0.3
    [answer] = [each for each in loop.ledger.promotions if each.as_of == first.as_of]
    [segment, _] = answer.record.version.row_rule.segments
    [region] = segment.without
    [(name, low, _)] = region.sides
    assert (name, abs(low - DEARER_ABOVE) < 0.5) == ("hours", True)
    wrong = wrong_by_day(plant, loop)
    assert wrong[CHANGED_ON - 2 : CHANGED_ON].mean() < 0.1
    assert wrong[CHANGED_ON : CHANGED_ON + 2].mean() > 0.4
    assert wrong[OVER_ON - 4 : OVER_ON].mean() < 0.2


def test_a_rule_that_comes_back_is_answered_with_the_first_labels_of_it(loop: Simulation):
    second = next(event for event in alarms(loop) if event.as_of >= START + (OVER_ON + 2) * DAY)
    assert second.as_of == START + (OVER_ON + 2) * DAY
    assert second.decision.change_at == START + OVER_ON * DAY
    assert second.action == PROMOTE
    assert second.gain > 0.3


def test_it_predicts_far_better_than_the_first_model_left_alone(plant: Prices, loop: Simulation):
    never = Simulation(plant, POLICIES["never"], TREE, FIRST_AFTER).run()
    judged = slice(CHANGED_ON, OVER_ON)
    assert (
        wrong_by_day(plant, loop)[judged].mean() < 0.6 * wrong_by_day(plant, never)[judged].mean()
    )


def test_a_bad_promotion_is_rolled_back():
    """The second version is right in its folds, and its model wrong in production: the first one
    comes back.
    """
    lenient = PolicySettings(gate=GateSettings(least_confidence=0.0))
    plant = prices(14)
    loop = Simulation(plant, lenient, TREE, FIRST_AFTER)
    betrayed(loop, TREE, lambda predictions: predictions + 100).run()
    first, second, back = loop.events[:3]
    assert (first.action, second.action, back.action) == (PROMOTE, PROMOTE, ROLLBACK)
    assert (second.gain < -0.5, back.gain > 0.5) == (True, True)
    assert back.as_of == second.as_of + DAY
    assert "predicted better by it alone" in back.result.reason
    day = int((back.as_of - START) / DAY)
    assert wrong_by_day(plant, loop)[day] < 0.2


def test_a_model_no_better_than_the_mean_label_is_refused_as_the_first():
    plant = prices(7)
    noise = np.random.default_rng(1).permutation(plant.rows.labels)
    shuffled = Prices(replace(plant.rows, labels=noise), plant.dearer)
    loop = Simulation(shuffled, PolicySettings(), TREE, FIRST_AFTER).run()
    assert {event.action for event in loop.events} == {REFUSE}
    assert "mean label 0.000, margin 0.05" in loop.events[0].result.reason
    assert np.isnan(loop.predicted_in_production).all()


@pytest.mark.slow
def test_a_steady_process_raises_hardly_an_alarm():
    """Twenty streams of twenty-five days: with 99 % confidence fewer than one stream in three."""
    alarmed = 0
    for seed in range(100, 120):
        loop = Simulation(prices(25, seed), PolicySettings(), TREE, FIRST_AFTER).run()
        alarmed += bool(alarms(loop))
    assert beta(alarmed + 1, 20 - alarmed).ppf(0.99) < 0.34  # Clopper-Pearson
