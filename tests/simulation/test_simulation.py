"""The policy over simulated streams: the station-less loop, its oracle, its table, and the job."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jobs.policy import parse
from lakehouse.errors import ConfigurationError
from lakehouse.retraining.policy.decide import REFRESH, RETRAIN
from lakehouse.retraining.policy.gate import PairedComparison
from lakehouse.settings import GateSettings, PolicySettings
from lakehouse.simulation.loop import Simulation
from lakehouse.simulation.oracle import oracle_regret, regret
from lakehouse.simulation.policies import POLICIES
from lakehouse.simulation.report.gate import gate_table, probability_of_promotion
from lakehouse.simulation.report.runs import Result, Task, as_markdown, run_all, summary
from lakehouse.simulation.world import VARIANTS, World, probe, world_of
from lakehouse.versions.actions import PROMOTE, ROLLBACK
from tests.support.treachery import betrayed
from tests.support.trees import fit_tree

SEED = 3
DAY = np.timedelta64(1, "D")
ROWS_A_NIGHT = 200


def shortened(world: World, pieces: int) -> World:
    columns = ("features", "labels", "event_time", "label_time", "chance")
    return replace(world, **{name: getattr(world, name)[:pieces] for name in columns})


@pytest.fixture(scope="module")
def world() -> World:
    return shortened(world_of("demo", SEED), 4_200)


@pytest.fixture(scope="module")
def loop(world: World) -> Simulation:
    return Simulation(world, PolicySettings()).run()


def alarms(loop: Simulation) -> list:
    return [event for event in loop.events if event.decision.action == RETRAIN]


def test_the_first_drift_is_noticed_on_the_first_batch_that_holds_rows_of_it(
    world: World, loop: Simulation
):
    first = alarms(loop)[0]
    assert first.as_of == world.label_time[world.starts[1]]
    assert abs(first.decision.change_at - world.event_time[world.starts[1]]) < 6 * np.timedelta64(
        1, "h"
    )
    assert first.action == PROMOTE
    assert first.gain > 0.15


def test_before_the_drift_there_is_no_alarm_and_after_it_the_champion_is_refreshed(
    world: World, loop: Simulation
):
    drift = world.label_time[world.starts[1]]
    before = {event.decision.action for event in loop.events if event.as_of < drift}
    after = {event.decision.action for event in loop.events if event.as_of > drift}
    assert before == {"train_first", REFRESH}
    assert REFRESH in after


def test_labels_of_pieces_that_an_earlier_champion_predicted_are_held_against_the_new_one(
    world: World, loop: Simulation
):
    alarm = alarms(loop)[0]
    records = loop.ledger.history.versions
    version = max(v for v, record in records.items() if record.as_of == alarm.as_of)
    told_next = world.label_time == alarm.as_of + DAY
    assert (world.event_time[told_next] < alarm.as_of).all()
    assert (loop.stream.judged_by[told_next] == version).all()


@pytest.mark.slow
def test_a_replay_decides_the_same(world: World, loop: Simulation):
    again = Simulation(world, PolicySettings()).run()
    assert [repr(event) for event in again.events] == [repr(event) for event in loop.events]
    assert np.array_equal(again.predicted_in_production, loop.predicted_in_production)


def test_the_policy_loses_less_than_twice_what_the_oracle_does(world: World, loop: Simulation):
    lost, least = regret(world, loop.predicted_in_production), oracle_regret(world)
    never = Simulation(world, POLICIES["never"]).run()
    assert 0 < least <= lost * 1.2
    assert lost < 2 * least
    assert regret(world, never.predicted_in_production) > 1.5 * lost


def test_the_best_predictions_cost_nothing_and_the_worst_the_most(world: World):
    best = (world.chance > 0.5).astype(int)
    assert regret(world, best) == 0
    assert regret(world, 1 - best) > regret(world, np.ones_like(best)) > 0


def test_a_bad_promotion_is_rolled_back(world: World):
    """The second training is right in its folds, and its model wrong in production: the first one
    comes back.
    """
    lenient = PolicySettings(gate=GateSettings(least_confidence=0.0))
    loop = Simulation(shortened(world, 3_000), lenient)
    plant = betrayed(loop, fit_tree, lambda predictions: 1 - predictions).run()
    first, second, back = plant.events[:3]
    assert (first.action, second.action, back.action) == (PROMOTE, PROMOTE, ROLLBACK)
    assert second.gain < -0.5
    assert back.gain > 0.5
    assert back.as_of == second.as_of + DAY
    next_day = (world.event_time >= back.as_of) & (world.event_time < back.as_of + DAY)
    assert regret_by_row(world, plant)[next_day[: len(world.event_time)]].mean() < 0.05


def regret_by_row(world: World, plant: Simulation) -> np.ndarray:
    chance = world.chance[: len(plant.predicted_in_production)]
    right = np.where(plant.predicted_in_production == 1, chance, 1 - chance)
    return np.pad(np.maximum(chance, 1 - chance) - right, (0, len(world.chance) - len(chance)))


def test_a_habit_trains_when_it_says_and_on_the_rows_that_it_says(world: World):
    loop = Simulation(shortened(world, 2_000), POLICIES["daily, last 3 days"]).run()
    first, *others = loop.events
    assert first.candidate == "everything"
    assert {(event.candidate, event.action) for event in others} == {("last 3 days", PROMOTE)}
    nights = [event.as_of for event in loop.events]
    assert set(np.diff(nights).astype("timedelta64[h]").astype(int)) == {24}
    never = Simulation(shortened(world, 2_000), POLICIES["never"]).run()
    assert len(never.events) == 1 < len(others)


def test_variants_flip_and_delay_labels():
    plain, flipped, late = (world_of(name, 0) for name in ("demo", "demo_flipped", "demo_late"))
    assert (plain.labels != flipped.labels).mean() == pytest.approx(0.05, abs=0.01)
    assert np.array_equal(late.label_time - plain.label_time, np.full(len(plain.labels), 5 * DAY))
    assert np.array_equal(plain.features, late.features)


def test_a_small_drift_moves_one_limit_a_little():
    world = world_of("small_drift", 0)
    changed = (world.chance > 0.5) != (world_of("stable", 0).chance[: len(world.chance)] > 0.5)
    assert not changed[: world.starts[1]].any()
    assert 0.05 < changed[world.starts[1] :].mean() < 0.12


def test_a_probe_is_of_the_rule_at_that_piece():
    creeping = VARIANTS["gradual"].course.regimes[1]
    features, early = probe(creeping, 3_401)
    _, late = probe(creeping, 6_500)
    between = (features[:, 0] > 352) & (features[:, 0] < 353.5)
    assert early[between].mean() > 0.7
    assert late[between].mean() < 0.05


def test_an_unknown_scenario_says_which_there_are():
    with pytest.raises(ConfigurationError, match="write one of demo, stable"):
        world_of("demonstration", 0)


def result(**given: object) -> Result:
    plain = Result(
        "default", "demo", 0, 365.0, 130.0, 100.0, (0.0, 1.0), (56, 28), 1, 20, 2, 0, (0.2, -0.006)
    )
    return replace(plain, **given)


def test_the_table_sums_runs_up():
    table = summary(
        [result(), result(seed=1, regret=110.0, delays=(0.0, 0.0), gains=(-0.02,), false_alarms=0)]
    )
    row = table.iloc[0]
    assert row["runs"] == 2
    assert row["excess %, median / p90"] == "20 / 28"
    assert row["noticed in batch 1, 2 %"] == "100, 100; 50, 100"
    assert row["false alarms a year"] == "0.50"
    assert row["harmful > .5, > 1 point a year"] == "1.00, 0.50"
    assert as_markdown(table).count("\n") == 2


def test_policies_and_scenarios_keep_their_rows():
    table = summary([result(policy="never"), result(), result(scenario="gradual")])
    assert list(zip(table["scenario"], table["policy"], strict=True)) == [
        ("demo", "never"),
        ("demo", "default"),
        ("gradual", "default"),
    ]


def test_runs_that_retraining_made_worse_are_listed_stream_by_stream():
    idle = [
        result(policy="never", seed=seed, regret=errors)
        for seed, errors in enumerate((120.0, 140.0, 500.0))
    ]
    table = summary(
        [*idle, result(), result(seed=1), result(seed=3, regret=900.0), result(scenario="gradual")]
    )
    assert table["worse than never, %"].tolist() == ["0", "50", ""]


def test_the_command_line_refuses_an_unknown_policy():
    assert parse(["--policies", "default", "yaml"]).policies == ["default", "yaml"]
    with pytest.raises(SystemExit):
        parse(["--policies", "best"])


@pytest.mark.parametrize("other", [["--families"], ["--gate"]])
def test_the_command_line_refuses_policies_beside_what_would_ignore_them(other, capsys):
    with pytest.raises(SystemExit) as refused:
        parse(["--policies", "default", *other])
    assert refused.value.code == 2
    assert f"argument {other[0]}: not allowed with argument --policies" in capsys.readouterr().err


@pytest.mark.slow
def test_runs_go_in_parallel_and_come_back_in_order():
    tasks = [Task("never", POLICIES["never"], "covariate", seed) for seed in (1, 0)]
    assert [each.seed for each in run_all(tasks, 2)] == [1, 0]


@pytest.mark.slow
def test_the_documented_operating_characteristic_is_the_gates():
    text = Path("docs/policy-evidence.md").read_text(encoding="utf-8")
    for needed in (GateSettings().confidence, GateSettings().least_confidence):
        assert gate_table(needed) in text


def test_the_operating_characteristic_is_what_simulated_challengers_meet():
    rng = np.random.default_rng(8)
    runs, rows, gain = 4_000, 192, 0.02
    pairs = rng.multinomial(rows, [0.035, 0.015, 0.95], size=runs)  # won, lost, the rest
    passed = np.mean(
        [PairedComparison(rows, int(won), int(lost)).better >= 0.6 for won, lost, _ in pairs]
    )
    stated = probability_of_promotion(rows, gain, needed=0.6)
    assert stated == pytest.approx(passed, abs=3 * np.sqrt(passed * (1 - passed) / runs))
