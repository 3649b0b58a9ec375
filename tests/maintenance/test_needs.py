"""Who needs which version: promotions, models, edges, streams that lag, jobs that run."""

import datetime as dt
import json

import pytest

from lakehouse.maintenance.needs import (
    Need,
    of_checkpoint,
    of_edges,
    of_models,
    of_promotions,
    of_record,
    of_running,
)

TABLES = {"id-a": "silver.a", "id-b": "silver.b"}
NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


def offsets(**versions: int) -> str:
    """An offset file of a stream over Delta tables, as Spark writes it."""
    sources = [
        json.dumps({"sourceVersion": 1, "reservoirId": f"id-{name}", "reservoirVersion": version})
        for name, version in versions.items()
    ]
    return "\n".join(["v1", json.dumps({"batchWatermarkMs": 0}), *sources])


def from_on(table: str, version: int) -> Need:
    return Need(table, version, "the stream score", and_later=True)


def test_a_promotion_and_a_model_need_what_they_were_trained_on():
    row = {
        "as_of": NOW,
        "action": "promote",
        "to_version": "5",
        "table_versions": [("silver.a", 20), ("silver.b", 21)],
    }
    older = {"as_of": NOW, "action": "keep", "to_version": None, "table_versions": None}
    assert of_promotions([row, older]) == [
        Need("silver.a", 20, "promotion/2026-03-01/promote/5"),
        Need("silver.b", 21, "promotion/2026-03-01/promote/5"),
    ]
    assert of_models({"6": {"silver.a": 7}, "7": {}}) == [Need("silver.a", 7, "model/6")]


def test_an_edge_needs_the_table_at_its_version():
    row = {"from_id": "silver.a@12", "to_id": "window/1 day/2026-02-01"}
    assert of_edges([row]) == [Need("silver.a", 12, "window/1 day/2026-02-01")]


def test_a_stream_needs_all_from_where_it_goes_on():
    needs = of_checkpoint("score", {7: offsets(a=40, b=3), 6: offsets(a=38, b=3)}, {6, 7}, TABLES)
    assert needs == [from_on("silver.a", 40), from_on("silver.b", 3)]


def test_a_batch_that_was_planned_and_not_committed_is_read_again():
    needs = of_checkpoint("score", {7: offsets(a=40), 6: offsets(a=38)}, {5, 6}, TABLES)
    assert needs == [from_on("silver.a", 38)]


def test_of_a_first_batch_that_was_cut_off_nobody_knows_where_it_began():
    assert of_checkpoint("score", {0: offsets(a=40)}, set(), TABLES) == [from_on("silver.a", 0)]


@pytest.mark.parametrize(
    "text", ["", "v1\n{}", "v1\n{}\n{broken", 'v1\n{}\n{"reservoirId": "id-a"}']
)
def test_of_a_checkpoint_that_cannot_be_read_all_is_kept(text: str):
    needs = of_checkpoint("score", {7: text, 6: offsets(a=40)}, {6, 7}, TABLES)
    assert {(need.table, need.version, need.and_later) for need in needs} == {
        ("silver.a", 0, True),
        ("silver.b", 0, True),
    }


def test_of_a_batch_without_the_one_before_all_is_kept():
    needs = of_checkpoint("score", {7: offsets(a=40)}, {6}, TABLES)
    assert {need.version for need in needs} == {0}


def test_a_source_that_is_no_table_of_the_lakehouse_needs_nothing():
    assert of_checkpoint("other", {0: offsets(c=3)}, {0}, TABLES) == []
    assert of_checkpoint("files", {0: 'v1\n{}\n{"logOffset": 3}\n-'}, {0}, TABLES) == []
    assert of_checkpoint("new", {}, set(), TABLES) == []


def test_commits_that_are_not_on_record_are_needed():
    assert [(need.version, need.and_later) for need in of_record({"silver.a": 9})] == [(10, True)]


def test_a_running_job_needs_the_versions_since_its_pass_began():
    made_at = {version: NOW + dt.timedelta(hours=version) for version in range(5)}
    began_at = NOW + dt.timedelta(hours=2, minutes=30)
    [need] = of_running([("retrain_and_promote", began_at)], "silver.a", made_at)
    assert (need.version, need.and_later) == (2, True)
    [need] = of_running([("score", NOW - dt.timedelta(hours=1))], "silver.a", made_at)
    assert need.version == 0
