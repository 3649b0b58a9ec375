import shutil
from pathlib import Path

import pytest

from lakehouse.monitoring.aggregator import aggregate_kpis
from lakehouse.storage.queries import AVAILABLE_NOW
from lakehouse.storage.store import Transaction
from tests.support.rows import WITHHELD, moment, rows

FRESHNESS = {"as_of", "as_of_version", "logging_table_commit_version"}
TABLES = ("window_facts", "profile_metrics", "drift_metrics")


def contents(lakehouse, table_name: str, without: set[str]) -> dict:
    """A table's rows by key, without the columns that depend on when a row was computed."""
    table = getattr(lakehouse.catalog, table_name)
    return {
        tuple(str(row[name]) for name in table.keys): {
            k: v for k, v in row.items() if k not in without
        }
        for row in lakehouse.store.rows(table)
    }


def assert_same(found, expected, path="") -> None:
    """Equal, up to the rounding of floating-point sums."""
    if isinstance(expected, dict):
        assert set(found) == set(expected), path
        for key in expected:
            assert_same(found[key], expected[key], f"{path}/{key}")
    elif isinstance(expected, list | tuple) and len(expected) == len(found):
        for place, (mine, other) in enumerate(zip(found, expected, strict=True)):
            assert_same(mine, other, f"{path}/{place}")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-9), path
    else:
        assert found == expected, path


@pytest.fixture(scope="module")
def late(plant, tmp_path_factory):
    """The withheld label comes three months late, in a batch of its own."""
    lakehouse = plant.copy("newest", tmp_path_factory.mktemp("late"))
    schema = lakehouse.catalog.labels.schema
    label = {"pid": WITHHELD, "qualitycheck_time": moment("2019-10-01T00:00:00"), "quality": 0}
    given = rows(lakehouse.spark, schema, [label])
    lakehouse.store.append(given, lakehouse.catalog.labels, Transaction("a test's own", 1))
    aggregate_kpis(lakehouse, AVAILABLE_NOW)
    return lakehouse


def changed(plant, late, table_name: str, without: set[str]) -> set:
    before, after = (contents(each, table_name, without) for each in (plant.at("newest"), late))
    assert set(before) == set(after)
    return {key for key in before if before[key] != after[key]}


def test_a_late_label_changes_the_facts_of_its_hour_alone(plant, late):
    found = changed(plant, late, "window_facts", FRESHNESS)
    assert {key[:2] for key in found} == {("2019-07-01 02:00:00+00:00", "1")}


def test_a_late_label_changes_the_quality_of_the_windows_that_hold_it_alone(plant, late):
    catalog = late.catalog
    found = changed(
        plant, late, "profile_metrics", FRESHNESS | {"is_final", "n_labelled", "label_coverage"}
    )
    place = [
        catalog.profile_metrics.keys.index(name)
        for name in ("granularity", "model_version", "column_name")
    ]
    windows = {"1 day": "2019, 7, 1, 0, 0", "1 week": "2019, 7, 1, 0, 0"}
    assert all(windows[key[place[0]]] in key[0] for key in found)
    assert {tuple(key[each] for each in place) for key in found} == {
        (granularity, version, name)
        for granularity in windows
        for version in ("1", "*")
        for name in (":table", "quality")
    }


def test_a_late_label_is_counted(plant, late):
    def day(lakehouse):
        return next(
            row
            for row in lakehouse.store.rows(lakehouse.catalog.profile_metrics)
            if row["granularity"] == "1 day"
            and row["window"]["start"] == moment("2019-07-01T00:00:00")
            and (row["model_version"], row["column_name"]) == ("*", ":table")
        )

    before, after = day(plant.at("newest")), day(late)
    assert (before["n_labelled"], after["n_labelled"]) == (before["count"] - 1, before["count"])
    assert before["is_final"]  # past the horizon, though one label had not come
    assert after["label_coverage"] == 1


def test_the_late_labels_time_makes_all_older_windows_final(late):
    found = late.store.rows(late.catalog.profile_metrics)
    assert all(row["is_final"] for row in found if row["log_type"] == "INPUT")


def test_many_small_batches_give_the_same_tables_as_one(late, tmp_path):
    root = tmp_path / "anew"
    shutil.copytree(late.store.root, root)
    shutil.rmtree(root / "gold")
    shutil.rmtree(root / "_system" / "checkpoints" / "aggregate_kpis")
    shutil.copytree(Path(late.store.root) / "gold" / "promotion", root / "gold" / "promotion")
    anew = _opened_like(late, root)
    aggregate_kpis(anew, AVAILABLE_NOW)
    for name in TABLES:
        sketches = {"columns"} if name == "window_facts" else set()
        assert_same(
            contents(late, name, FRESHNESS | sketches),
            contents(anew, name, FRESHNESS | sketches),
            name,
        )


def _opened_like(lakehouse, root: Path):
    from lakehouse.app.opening import open_lakehouse

    environment = lakehouse.environment.model_copy(update={"root": str(root)})
    return open_lakehouse(lakehouse.spark, lakehouse.model, environment)


def test_a_replayed_batch_gives_the_same_rows(late):
    before = {name: contents(late, name, set()) for name in TABLES}
    commits = Path(late.store.checkpoint("aggregate_kpis")) / "commits"
    newest = max(commits.glob("[0-9]*"), key=lambda path: int(path.name))
    for path in (newest, commits / f".{newest.name}.crc"):
        path.unlink(missing_ok=True)
    versions = late.store.version(late.catalog.window_facts)
    aggregate_kpis(late, AVAILABLE_NOW)
    assert late.store.version(late.catalog.window_facts) > versions  # it was replayed
    for name in TABLES:
        assert_same(contents(late, name, set()), before[name], name)
