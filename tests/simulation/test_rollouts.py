"""Rollouts in the loop over arrays: what waiting costs, and what it must not change."""

from dataclasses import replace

import numpy as np
import pytest

from lakehouse.errors import ConfigurationError
from lakehouse.retraining.policy.decide import RETRAIN, TRAIN_FIRST
from lakehouse.settings import PolicySettings, RolloutSettings
from lakehouse.simulation.loop import Simulation
from lakehouse.simulation.policies import rollouts_of
from lakehouse.simulation.world import World, world_of
from lakehouse.versions.actions import PROMOTE, REFUSE, ROLLOUT


@pytest.fixture(scope="module")
def world() -> World:
    """Some days before the first drift, and some after it."""
    whole = world_of("demo", 3)
    columns = ("features", "labels", "event_time", "label_time", "chance")
    return replace(whole, **{name: getattr(whole, name)[:4_400] for name in columns})


def simulated(world: World, **settings: object) -> Simulation:
    rollout = RolloutSettings.model_validate(settings)
    return Simulation(world, PolicySettings(), rollout=rollout).run()


@pytest.fixture(scope="module")
def at_once(world: World) -> Simulation:
    return simulated(world)


@pytest.fixture(scope="module")
def by_shadow(world: World) -> Simulation:
    return simulated(world, strategy="shadow", at_alarm="rollout")


def drift_of(loop: Simulation) -> tuple[str, np.datetime64]:
    alarm = next(event for event in loop.events if event.decision.action == RETRAIN)
    return alarm.action, alarm.as_of


def wrong_after_drift(world: World, loop: Simulation) -> int:
    since = slice(world.starts[1], None)
    return int((loop.predicted_in_production[since] != world.rows.labels[since]).sum())


def test_an_alarms_winner_that_is_rolled_out_takes_over_later_and_that_costs_errors(
    world: World, at_once: Simulation, by_shadow: Simulation
) -> None:
    assert drift_of(at_once) == drift_of(by_shadow)
    assert drift_of(by_shadow)[0] == PROMOTE
    cost = wrong_after_drift(world, by_shadow) - wrong_after_drift(world, at_once)
    assert cost > 30


def test_at_an_alarm_the_default_skips_the_rollout(world: World, at_once: Simulation) -> None:
    loop = simulated(world, strategy="canary")
    assert drift_of(loop) == drift_of(at_once)
    late = wrong_after_drift(world, loop) - wrong_after_drift(world, at_once)
    assert late < 30


def test_refreshes_wait_while_a_rollout_runs(by_shadow: Simulation) -> None:
    """Each training's result is final, or it is the newest: there is one rollout at a time."""
    entries = by_shadow.ledger.promotions
    begun = [place for place, entry in enumerate(entries) if entry.action == ROLLOUT]
    assert begun
    for place in begun[:-1]:
        after = entries[place + 1]
        assert after.ends_rollout
        assert after.action in (PROMOTE, REFUSE)
    held = [each.decision for each in by_shadow.ledger.decisions if each.decision.rule == "rollout"]
    assert held
    assert not any(decision.retrain for decision in held)


def test_a_canary_answers_its_share_of_the_rows_and_the_detector_sees_the_champion(
    world: World,
) -> None:
    loop = simulated(world, strategy="ab", shares=[0.5], at_alarm="rollout")
    stream = loop.stream
    mixed = stream.predicted_in_production != stream.judged
    assert 0 < mixed.mean() < 0.2
    first = next(event for event in loop.events if event.decision.action == TRAIN_FIRST)
    assert first.action == PROMOTE


def test_a_way_into_production_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="--rollouts: 'big bang' is none; write some of"):
        rollouts_of(["shadow", "big bang"])
    assert [each.strategy for each in rollouts_of(["shadow", "ab"]).values()] == ["shadow", "ab"]
