"""A lakehouse's own history under other policies: read without Spark, decided as the simulation
decides.
"""

import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from jobs.policy import main, parse
from lakehouse.errors import ConfigurationError, StoreError, TrainingError
from lakehouse.glassware.pieces import Stream
from lakehouse.settings import PolicySettings, ThresholdRule, load_model_settings
from lakehouse.simulation.arrays import Event, StreamPredictions
from lakehouse.simulation.loop import FIRST_AFTER, Simulation
from lakehouse.simulation.policies import POLICIES
from lakehouse.simulation.recorded import Recorded, Tally, recorded
from lakehouse.simulation.replay import Replayed, compared, learner_of, replay, replay_all
from lakehouse.simulation.world import World, world_of
from lakehouse.tables import catalog_of
from tests.support.rows import (
    moment,
    parcels,
    repairs,
    write_parcel_settings,
    write_repair_settings,
)
from tests.support.trees import fit_tree

GLASSWARE = load_model_settings("conf/glassware.yaml")
SEED, PIECES = 3, 4_200
DAY, MINUTE = np.timedelta64(1, "D"), np.timedelta64(1, "m")
NO_DECISIONS = {"action": pa.array([], pa.string())}
NO_PROMOTIONS = {"as_of": pa.array([], pa.timestamp("us", "UTC"))} | {
    name: pa.array([], pa.string()) for name in ("action", "to_version")
}


def write_lakehouse(root: Path, model, **tables: pa.Table) -> str:
    """A lakehouse of these tables; ledgers and predictions that are not given are empty."""
    catalog = catalog_of(model)
    key, label = (
        tables["readings"].schema.field(model.key),
        tables["labels"].schema.field(model.labels.label),
    )
    empty = pa.schema([key, pa.field("prediction", label.type)]).empty_table()
    ledgers = {
        "decision": pa.table(NO_DECISIONS),
        "promotion": pa.table(NO_PROMOTIONS),
        "predictions": empty,
    }
    for name, rows in (ledgers | tables).items():
        table = getattr(catalog, name)
        write_deltalake(root / table.layer / table.name, rows)
    return str(root)


def of_glassware(pieces: int) -> dict[str, pa.Table]:
    """Readings and labels of the simulated stream, as silver has them."""
    stream = Stream("demo", SEED, PIECES)
    return {"readings": stream.readings(1, pieces), "labels": stream.labels(1, pieces)}


def shuffled(table: pa.Table) -> pa.Table:
    return table.take(np.random.default_rng(0).permutation(len(table)))


def without_truth(events: list[Event]) -> list[str]:
    return [repr(replace(event, gain=0.0)) for event in events]


@pytest.fixture(scope="module")
def world() -> World:
    whole = world_of("demo", SEED)
    columns = ("features", "labels", "event_time", "label_time", "chance")
    return replace(whole, **{name: getattr(whole, name)[:PIECES] for name in columns})


@pytest.fixture(scope="module")
def simulated(world: World) -> Simulation:
    return Simulation(world, PolicySettings()).run()


@pytest.fixture(scope="module")
def history(tmp_path_factory) -> Recorded:
    """Of the same stream, its rows in no order."""
    tables = {name: shuffled(table) for name, table in of_glassware(PIECES).items()}
    return recorded(
        write_lakehouse(tmp_path_factory.mktemp("works"), GLASSWARE, **tables), GLASSWARE
    )


@pytest.mark.slow
def test_a_replay_decides_exactly_as_the_simulation_does_on_the_same_stream(
    simulated: Simulation, history: Recorded
):
    replayed = Simulation(history, PolicySettings(), fit_tree).run(list(history.nights))
    assert {event.decision.action for event in simulated.events} == {
        "train_first",
        "retrain",
        "refresh",
    }
    assert without_truth(replayed.events) == without_truth(simulated.events)
    assert np.array_equal(replayed.predicted_in_production, simulated.predicted_in_production)
    assert all(np.isnan(event.gain) for event in replayed.events[1:])
    result = replay(history, PolicySettings(), fit_tree, FIRST_AFTER)
    assert result.since == simulated.events[0].as_of
    assert np.array_equal(result.predicted_in_production, simulated.predicted_in_production)
    assert result.tally.trainings == len(simulated.events)


@pytest.mark.slow
def test_labels_that_come_in_another_order_within_a_batch_decide_the_same(
    world: World, simulated: Simulation
):
    minutes = np.random.default_rng(1).integers(0, 23 * 60, PIECES)
    strewn = replace(world, label_time=world.label_time - minutes * MINUTE)
    assert (np.diff(strewn.label_time) < np.timedelta64(0)).mean() > 0.4
    again = Simulation(strewn, PolicySettings()).run(list(world.nights))
    assert [repr(event) for event in again.events] == [repr(event) for event in simulated.events]
    assert np.array_equal(again.predicted_in_production, simulated.predicted_in_production)


class Watched(StreamPredictions):
    """Keeps which rows each night could know, and which labels the epoch's counts were of."""

    seen: ClassVar[list] = []
    counted: ClassVar[list] = []

    def __init__(self, stream, settings, history):
        super().__init__(stream, settings, history)
        self._known_rows = stream.rows.take(stream.known)
        self.seen.append(self._known_rows)

    def counts(self, since=None):
        if self._history.champion is not None:
            drift_period = self._history.champion_record.drift_period
            self.counted.append(
                (
                    self._known_rows.label_time.max(),
                    drift_period,
                    self._stream.rows.label_time[self._is_of_period],
                )
            )
        return super().counts(since)


@pytest.mark.slow
def test_a_label_that_comes_late_is_known_from_that_night_on_and_not_before(world: World):
    late = np.random.default_rng(2).random(PIECES) < 0.1
    label_time = np.where(late, world.label_time + 4 * DAY, world.label_time)
    loop = Simulation(replace(world, label_time=label_time), PolicySettings())
    loop._context = replace(
        loop._context, predictions=partial(Watched, loop.stream, PolicySettings())
    )
    loop.run()
    assert len(Watched.seen) > 20
    for rows in Watched.seen:
        assert np.array_equal(
            rows.event_time, world.event_time[label_time <= rows.label_time.max()]
        )
    assert len({drift_period for _, drift_period, _ in Watched.counted}) == 2
    for as_of, drift_period, counted in Watched.counted:
        assert np.array_equal(
            counted, label_time[(label_time > drift_period) & (label_time <= as_of)]
        )


def test_it_decides_once_a_day_at_the_last_label_of_the_day(history: Recorded):
    night = np.datetime64("2024-05-01", "us")
    label_time = night + np.array([70, 10, 1439, 1440, 2881]) * MINUTE
    rows = replace(history.rows.take(slice(0, 5)), label_time=label_time)
    assert list(replace(history, rows=rows).nights) == [label_time[2], label_time[3], label_time[4]]


def test_what_production_did_is_read_from_its_tables(tmp_path: Path):
    tables = of_glassware(300)
    pids = tables["readings"]["pid"]
    predictions = pa.table(
        {"pid": pids[100:].combine_chunks(), "prediction": pa.array([1] * 200, pa.int32())}
    )
    actions = ["wait", "train_first", "keep", "blind", "retrain", "refresh", "retrain"]
    rows = [
        ("02", "promote", "1"),
        ("03", "refuse", "2"),
        ("04", "refuse", None),
        ("05", "promote", "3"),
    ]
    verdicts = [
        {"as_of": moment(f"2019-07-{day}"), "action": action, "to_version": version}
        for day, action, version in [*rows, ("06", "rollback", "1")]
    ]
    root = write_lakehouse(
        tmp_path,
        GLASSWARE,
        **tables,
        predictions=shuffled(predictions),
        decision=pa.table({"action": actions}),
        promotion=pa.Table.from_pylist(verdicts),
    )
    found = recorded(root, GLASSWARE)
    assert found.since == np.datetime64("2019-07-02")
    assert found.tally == Tally(alarms=2, trainings=3, refused=1, promotions=2, rolled_back=1)
    assert found.predicted_in_production.tolist() == [-1] * 100 + [1] * 200


def test_errors_are_counted_on_the_rows_that_all_had_a_model_for(history: Recorded):
    rows = history.rows.take(slice(0, 6))
    rows = replace(rows, labels=np.array([0, 1, 0, 1, 0, 1]))
    did, would = Tally(2, 5, 1, 4, 1), Tally(1, 2, 0, 2, 0)
    works = Recorded(rows, np.array([-1, 1, 1, 0, 1, -1]), rows.event_time[1], did)
    replays = {"a": Replayed(np.array([-1, -1, 0, 1, 1, 1]), rows.event_time[2], would)}
    table = compared(works, replays).set_index("policy")
    assert list(table.index) == ["a", "as recorded"]
    assert list(table["labelled rows judged"]) == [3, 3]
    assert list(table["errors"]) == [1, 3]
    assert list(table["accuracy"]) == ["0.6667", "0.0000"]
    counts = ["alarms", "trainings", "refused", "promotions", "rolled back"]
    assert table.loc["as recorded", counts].tolist() == [2, 5, 1, 4, 1]
    assert table.loc["a", counts].tolist() == [1, 2, 0, 2, 0]
    later = compared(replace(works, since=rows.event_time[4]), replays)
    assert list(later["labelled rows judged"]) == [
        1,
        1,
    ]  # rows of before, which the first model called afterwards
    unpredicted = replace(works, predicted_in_production=np.full(6, -1), since=None)
    alone = compared(unpredicted, replays)
    assert (list(alone["policy"]), list(alone["labelled rows judged"])) == (["a"], [4])
    with pytest.raises(TrainingError, match="let more labels come"):
        compared(works, {"a": replace(replays["a"], since=rows.event_time[5] + DAY)})


def dated(lines: list[dict[str, Any]], time: str) -> pa.Table:
    """Lines as a table of silver, with that column as a moment."""
    return pa.Table.from_pylist([line | {time: moment(line[time][:19])} for line in lines])


def test_features_that_are_text_and_classes_that_are_more_than_two_are_replayed(tmp_path: Path):
    model = load_model_settings(write_parcel_settings(tmp_path))
    readings, labels = parcels(600)
    tables = {"readings": dated(readings, "weighed_at"), "labels": dated(labels, "settled_at")}
    found = recorded(write_lakehouse(tmp_path, model, **tables), model)
    assert found.rows.names[:3] == ("grams", "fragile", "found")
    assert {"lane=a", "lane=é"} <= set(found.rows.names)
    assert len(found.rows.problem.kinds) == len(np.unique(found.rows.labels)) == 3
    result = replay(found, model.policy, learner_of(model), model.training.first_after)
    predicted_in_production = result.predicted_in_production >= 0
    assert 250 < predicted_in_production.sum() < 500
    assert (result.predicted_in_production == found.rows.labels)[
        predicted_in_production
    ].mean() > 0.8


def test_without_labels_it_says_so_in_one_sentence(tmp_path: Path):
    tables = of_glassware(300)
    root = write_lakehouse(
        tmp_path, GLASSWARE, readings=tables["readings"], labels=tables["labels"].slice(0, 0)
    )
    with pytest.raises(
        StoreError, match=r"no reading in silver.sensor_reading has a label in silver.quality_check"
    ):
        main(["--replay", root])


def test_a_folder_that_is_no_lakehouse_of_the_model_is_refused(tmp_path: Path):
    with pytest.raises(StoreError, match="there is no table; name the root of a lakehouse"):
        main(["--replay", str(tmp_path)])
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_regression_is_replayed_as_a_classification_is(tmp_path: Path):
    model = load_model_settings(write_repair_settings(tmp_path))
    damages, invoices = repairs(600)
    tables = {"readings": dated(damages, "reported_at"), "labels": dated(invoices, "invoiced_at")}
    found = recorded(write_lakehouse(tmp_path, model, **tables), model)
    assert np.isnan(found.predicted_in_production).all()
    policy = model.policy
    result = replay(found, policy, learner_of(model), model.training.first_after)
    predicted_in_production = ~np.isnan(result.predicted_in_production)
    assert 250 < predicted_in_production.sum() < 500
    assert result.tally.alarms >= 1  # the repairs become dearer
    never = replay(found, POLICIES["never"], learner_of(model), model.training.first_after)
    table = compared(found, {"policy": result, "never": never}).set_index("policy")
    assert table.loc["policy", "errors"] < table.loc["never", "errors"]


def test_too_few_labels_for_a_first_model_are_an_error(history: Recorded):
    with pytest.raises(
        TrainingError, match=f"{PIECES} labelled rows are not enough .* asks for 5000"
    ):
        replay(history, PolicySettings(), fit_tree, 5_000)


def test_a_metric_that_a_replay_does_not_have_is_refused_and_not_taken_for_quiet(history: Recorded):
    policy = PolicySettings(rules=(ThresholdRule(rule="threshold", metric="log_loss", change=0.1),))
    with pytest.raises(
        ConfigurationError, match=r"mine: rules.threshold.metric: log_loss cannot be replayed"
    ):
        replay_all(history, {"mine": policy}, GLASSWARE, 1)


def test_a_policy_may_stand_in_a_file_of_its_own(tmp_path: Path):
    assert parse(["--policies", "strict.yaml"]).policies == ["strict.yaml"]
    with pytest.raises(ConfigurationError, match=r"strict.yaml: cannot be read"):
        main(["--policies", str(tmp_path / "strict.yaml")])


@pytest.mark.slow
def test_the_job_compares_policies_on_a_lakehouse_without_a_java_to_start_spark_with(
    tmp_path: Path,
):
    root = write_lakehouse(tmp_path / "works", GLASSWARE, **of_glassware(1_700))
    strict = tmp_path / "strict.yaml"
    strict.write_text("rules: [{rule: scheduled, every: 1 day}]\ncandidates: {rows: everything}\n")
    environment = {**os.environ, "JAVA_HOME": "/nowhere", "PATH": str(Path(sys.executable).parent)}
    words = [
        sys.executable,
        "-m",
        "jobs.policy",
        "--replay",
        root,
        "--policies",
        "yaml",
        str(strict),
        "--cores",
        "1",
    ]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    assert ended.returncode == 0, ended.stderr[-2000:]
    table = [line.split(" | ") for line in ended.stdout.splitlines() if line.startswith("| ")]
    names, *lines = ([cell.strip("| ") for cell in line] for line in table)
    rows = {line[0]: dict(zip(names, line, strict=True)) for line in lines}
    assert set(rows) == {"never", "yaml", str(strict)}
    assert len({row["labelled rows judged"] for row in rows.values()}) == 1
    assert (rows["never"]["trainings"], int(rows[str(strict)]["trainings"]) > 2) == ("1", True)
    assert lines[0][3] == ""  # the best comes first
    assert "policy:" in ended.stdout.splitlines()
    assert 'each training: decision_tree {"ccp_alpha": 0.005}' in ended.stdout
