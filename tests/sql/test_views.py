"""The views over a small gold written by hand: each figure below follows from a row that is named
for it.
"""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession
from scipy.stats import binomtest

from lakehouse.app.opening import open_lakehouse
from lakehouse.errors import ConfigurationError
from lakehouse.settings import EnvironmentSettings, OutageSettings, load_model_settings
from lakehouse.sql.views import views_of
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.tables import View, catalog_of
from tests.support.engines import Engines, duckdb_of, duckdb_rows, known_to_spark, spark_rows
from tests.support.rows import moment

GLASSWARE = load_model_settings("conf/glassware.yaml")
STRICT = GLASSWARE.policy.model_copy(
    update={"outage": OutageSettings(least_coverage=0.95, patience="1 hour")}
)
MODEL = GLASSWARE.model_copy(update={"policy": STRICT})
VIEWS = {view.name: view for view in views_of(MODEL, catalog_of(MODEL))}
_DUCKDB_TYPES = {
    "int": "INTEGER",
    "string": "VARCHAR",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    "map<string,double>": "MAP(VARCHAR, DOUBLE)",
    "map<string,string>": "MAP(VARCHAR, VARCHAR)",
}


@pytest.fixture(scope="module")
def engines(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    root = tmp_path_factory.mktemp("a root's place")  # with an apostrophe, which SQL must quote
    lakehouse = open_lakehouse(spark, MODEL, EnvironmentSettings(root=str(root)))
    _fill(lakehouse)
    with known_to_spark(spark, str(root)):
        yield Engines(spark, duckdb_of(str(root)))


def _window(day: str, days: int = 1) -> dict[str, dt.datetime]:
    start = moment(f"2019-{day}")
    return {"start": start, "end": start + dt.timedelta(days=days)}


def _quality(day: str, rows: int, labelled: int, right: int, **other: Any) -> dict[str, Any]:
    """A row of the whole table in the profile table."""
    return {
        "window": _window(day),
        "window_date": moment(f"2019-{day}").date(),
        "granularity": "1 day",
        "log_type": "INPUT",
        "column_name": ":table",
        "model_version": "*",
        "count": rows,
        "n_labelled": labelled,
        "label_coverage": labelled / rows,
        "accuracy_score": right / labelled if labelled else None,
        "is_final": False,
        "in_training_window": False,
        "as_of": moment("2019-07-05"),
        **other,
    }


def _drift(day: str, column: str, pvalue: float, **other: Any) -> dict[str, Any]:
    window = _window(day)
    keys = {
        "window": window,
        "window_date": window["start"].date(),
        "granularity": "1 day",
        "column_name": column,
    }
    return {
        **keys,
        "drift_type": "BASELINE",
        "model_version": "*",
        "adjusted_pvalue": pvalue,
        **other,
    }


def _psi(value: float) -> dict[str, float]:
    return {"population_stability_index": value}


def _moved(action: str, as_of: str, to: str, recorded: str, **other: Any) -> dict[str, Any]:
    at = moment(f"2026-01-01T{recorded}")
    return {
        "action": action,
        "as_of": moment(f"2019-{as_of}"),
        "to_version": to,
        "recorded_at": at,
        **other,
    }


def _alternative(day: str, name: str, *, labelled: int, right: int, **other: Any) -> dict[str, Any]:
    otherwise, trainings = other["otherwise"], other.get("trainings", 0)
    counts = {
        "n_labelled": labelled,
        "n_right": right,
        "n_right_otherwise": otherwise,
        "trainings": trainings,
    }
    return {"window_date": moment(f"2019-{day}").date(), "alternative": name} | counts


def _decided(as_of: str, action: str, score: float, **other: Any) -> dict[str, Any]:
    evidence = {"score": score, "threshold": 12.0}
    retrain = action in ("retrain", "refresh")
    row = {
        "as_of": moment(f"2019-{as_of}"),
        "action": action,
        "retrain": retrain,
        "evidence": evidence,
    }
    return {**row, "reasons": [f"score {score:g}", "so it is"], **other}


def _fill(lakehouse: Lakehouse) -> None:
    catalog, slices = lakehouse.catalog, {"slice_key": "temp > 355"}
    profiles = [
        _quality("06-20", 100, 50, 50, is_final=True),  # labels overdue too long ago to be chased
        _quality(
            "06-30", 100, 100, 90, is_final=True, in_training_window=True
        ),  # the day before the first promotion
        _quality(
            "07-01",
            100,
            96,
            96,
            is_final=True,
            in_training_window=True,
            accuracy_without_retraining=1.0,
        ),
        _quality("07-02", 100, 90, 75, is_final=True, accuracy_without_retraining=70 / 90),
        _quality("07-02", 60, 60, 48, is_final=True, model_version="1"),
        _quality("07-02", 40, 30, 27, is_final=True, model_version="2"),
        _quality("07-02", 60, 60, 48, is_final=True, slice_value="true", **slices),
        _quality("07-02", 40, 30, 27, is_final=True, slice_value="false", **slices),
        _quality("07-02", 9, 9, 9, column_name="temp", data_type="double"),  # not the whole row
        _quality("07-02", 9, 9, 9, log_type="BASELINE"),  # not of the stream
        _quality("07-01", 700, 700, 650, granularity="1 week"),  # not a day
        _quality("07-03", 100, 20, 18, accuracy_without_retraining=19 / 20),  # labels still to come
        _quality("07-04", 100, 0, 0),  # no label yet
    ]
    drifts = [
        _drift("07-01", "temp", 0.0001, **_psi(0.9)),  # not the newest final day
        _drift("07-02", "temp", 0.0001, **_psi(0.31)),
        _drift("07-02", "temp", 0.0001, **_psi(0.4), model_version="2"),
        _drift("07-02", "pressure", 0.2, **_psi(0.25)),  # large, but by chance
        _drift("07-02", "duration", 1e-9, **_psi(0.05)),  # certain, but too small to matter
        _drift("07-02", "prediction", 0.0001, tv_distance=0.25, js_distance=0.15),
        _drift("07-02", "quality", 0.0001, tv_distance=0.15, js_distance=0.05),
        _drift("07-02", "score", 0.0001, **_psi(4.0)),  # differs by its nature
        _drift("07-02", "pressure", 0.0001, **_psi(0.8), drift_type="CONSECUTIVE"),
        _drift("07-02", "duration", 0.0001, **_psi(0.8), slice_value="true", **slices),
        _drift("07-02", "duration", 0.0001, **_psi(0.8), granularity="1 week"),
        _drift("07-03", "duration", 0.0001, **_psi(0.8)),  # not final
    ]
    evidence = {
        "challenger_accuracy": 0.95,
        "champion_accuracy": 0.7,
        "rows": 200.0,
        "probability_better": 0.999,
    }
    evidence |= {"training_seconds": 2.5}
    differences = [
        {"region": region, "change": "0 instead of 1", "rows": rows, "differ": 4}
        | {"for_challenger": 3, "for_champion": 1}
        for region, rows in ((None, 50), ("a up to 3", 5))
    ]
    promotions = [
        _moved(
            "promote",
            "07-01",
            "1",
            "01:00",
            who="retrain_and_promote",
            reason="the first",
            trained_rows=1151,
        ),
        _moved(
            "promote",
            "07-03",
            "2",
            "02:00",
            from_version="1",
            evidence=evidence,
            reason="better",
            trained_rows=345,
        ),
        _moved(
            "rollback", "07-03T20:00", "1", "03:00", who="Ada", from_version="2", reason="smells"
        ),
        _moved("refuse", "07-04", "3", "04:00", from_version="1", differences=differences),
        _moved("refuse", "07-04", "4", "05:00", from_version="1"),
    ]
    at, told = (
        moment("2026-01-01T06:00:00"),
        {"evidence": {"log_statistic": 25.0, "log_alarm": 9.5}},
    )
    told |= {
        "drift_kind": ["concept", "label"],
        "region": ["a up to 3 is no longer 1"],
        "confidence": 0.999,
    }
    decisions = [
        _decided("07-01", "train_first", 0) | {"retrain": True},
        _decided("07-02", "retrain", 14),  # followed by a promotion later
        _decided("07-03", "retrain", 15),  # followed by one as of the same moment
        _decided(
            "07-04", "refresh", 1, decided_at=at + dt.timedelta(hours=1)
        ),  # when the alarm's was refused
        _decided("07-04", "retrain", 20, decided_at=at),
        _decided("07-04", "blind", 0, decided_at=at + dt.timedelta(hours=2)),
        _decided("07-05", "retrain", 25, advice="retrain", **told),
        _decided(
            "07-06", "keep", 3, drift_kind=[], region=[]
        ),  # an empty list is no text, in both engines
    ]
    alternatives = [
        _alternative("07-01", "never", labelled=10, right=9, otherwise=9),
        _alternative(
            "07-01", "daily", labelled=10, right=9, otherwise=9
        ),  # not trained yet: the first model
        _alternative("07-02", "never", labelled=90, right=75, otherwise=70),
        _alternative("07-02", "daily", labelled=90, right=75, otherwise=77, trainings=1),
        _alternative("07-03", "never", labelled=20, right=18, otherwise=19),
        _alternative("07-03", "daily", labelled=20, right=18, otherwise=15, trainings=1),
        _alternative(
            "07-04", "never", labelled=7, right=6, otherwise=None
        ),  # the first model's file is gone
    ]
    store = lakehouse.store
    store.append_rows(_batches(), catalog.batch_metrics)
    scored = {"query_id": "q", "batch_id": 0, "model_version": "1", "rows": 100, "seconds": 1.5}
    store.append_rows(alternatives, catalog.counterfactual)
    store.append_rows([scored], catalog.scoring_cost)
    given = ((catalog.profile_metrics, profiles), (catalog.drift_metrics, drifts))
    for table, rows in (*given, (catalog.promotion, promotions), (catalog.decision, decisions)):
        lakehouse.store.append_rows(rows, table)


def _batches() -> list[dict[str, Any]]:
    """Three batches of scoring in an hour and a failed one; one of ingest in the next hour."""
    base = {"query": "score", "query_id": "q", "run_id": "r", "outcome": "ok", "rows_in": 100}
    minutes = (("12:00", 1.0, 5), ("12:30", 2.0, 0), ("12:59", 6.0, 2))
    ended_well = [
        base
        | {"batch_id": number, "began_at": moment(f"2026-01-01T{at}"), "seconds": seconds}
        | {"rows_out": 99, "rows_rejected": 1, "rows_duplicate": 0, "lag_seconds": 10 * seconds}
        | {"backlog_files": files, "backlog_bytes": 1000 * files, "backlog_rows": 192 * files}
        for number, (at, seconds, files) in enumerate(minutes)
    ]
    failed = base | {"outcome": "failed", "batch_id": 3, "seconds": 90.0, "rows_in": 7}
    other = base | {"query": "ingest", "batch_id": 0, "seconds": 0.5, "rows_in": None}
    return [
        *ended_well,
        failed | {"began_at": moment("2026-01-01T12:59:59")},
        other | {"began_at": moment("2026-01-01T13:00")},
    ]


def _days(engines: Engines, columns: str, version: str = "*") -> dict[str, tuple[Any, ...]]:
    """Columns of each day of a version."""
    rows = engines.rows("daily_quality", "day, model_version")
    return {
        f"{row['day']:%m-%d}": tuple(row[name] for name in columns.split(", "))
        for row in rows
        if row["model_version"] == version
    }


def _comment_in_spark(spark: SparkSession, name: str) -> str:
    described = {
        row["col_name"]: row["data_type"] for row in spark_rows(spark, f"DESCRIBE EXTENDED {name}")
    }
    return str(described["Comment"])


def test_a_day_has_one_row_for_each_version_and_one_for_all(engines: Engines) -> None:
    found = engines.rows("daily_quality", "day, model_version")
    assert [(f"{row['day']:%m-%d}", row["model_version"], row["n_rows"]) for row in found] == [
        ("06-20", "*", 100),
        ("06-30", "*", 100),
        ("07-01", "*", 100),
        ("07-02", "*", 100),
        ("07-02", "1", 60),
        ("07-02", "2", 40),
        ("07-03", "*", 100),
        ("07-04", "*", 100),
    ]


def test_accuracy_has_wilsons_interval(engines: Engines) -> None:
    days = _days(engines, "accuracy, accuracy_low, accuracy_high")
    for day, right, labelled in (("07-02", 75, 90), ("07-03", 18, 20), ("07-01", 96, 96)):
        bounds = binomtest(right, labelled).proportion_ci(0.95, method="wilson")
        assert days[day] == pytest.approx((right / labelled, bounds.low, bounds.high), abs=1e-12)
    assert days["07-01"][2] == 1.0  # exactly
    assert days["07-04"] == (None, None, None)  # no label yet


def test_the_champion_of_a_day_is_the_last_that_took_over_before_its_end(engines: Engines) -> None:
    assert _days(engines, "champion, promotions, rollbacks") == {
        "06-20": (None, 0, 0),
        "06-30": (None, 0, 0),  # a promotion at midnight is the next day's
        "07-01": ("1", 1, 0),
        "07-02": ("1", 0, 0),
        "07-03": ("1", 1, 1),  # version 2 was promoted, then rolled back
        "07-04": ("1", 0, 0),  # version 3 was refused
    }


def test_a_column_has_drifted_where_that_is_credible_and_large(engines: Engines) -> None:
    days = _days(engines, "drifted_features, drifted_columns")
    assert days["07-02"] == (1, "prediction, temp")
    assert days["07-04"] == (0, None)
    assert _days(engines, "drifted_columns", "2") == {"07-02": ("temp",)}


def test_the_history_shows_who_was_in_production_from_when_to_when_and_why(
    engines: Engines,
) -> None:
    found = engines.rows("production_history", "recorded_at")
    assert [row["model_version"] for row in found] == ["1", "2", "1"]
    assert [f"{row['champion_from']:%m-%d}" for row in found] == ["07-01", "07-03", "07-03"]
    assert [row["champion_to"] and f"{row['champion_to']:%m-%d}" for row in found] == [
        "07-03",
        "07-03",
        None,
    ]
    assert [row["is_champion"] for row in found] == [False, False, True]
    assert [row["ended_by"] for row in found] == ["promote", "rollback", None]
    assert [row["who"] for row in found] == ["retrain_and_promote", None, "Ada"]
    assert [row["reason"] for row in found] == ["the first", "better", "smells"]
    assert (found[1]["accuracy"], found[1]["accuracy_before"], found[1]["rows_compared"]) == (
        0.95,
        0.7,
        200.0,
    )
    assert (
        dict(found[1]["evidence"])["probability_better"] == found[1]["probability_better"] == 0.999
    )
    assert found[0]["evidence"] is None


def test_a_decision_stands_beside_the_verdict_on_what_it_led_to(engines: Engines) -> None:
    rows = engines.rows("decision_history", "as_of, decided_at, action")
    assert [
        (f"{row['as_of']:%m-%d}", row["action"], row["verdict"], row["challenger"]) for row in rows
    ] == [
        ("07-01", "train_first", "promote", "1"),
        ("07-02", "retrain", None, None),
        ("07-03", "retrain", "promote", "2"),  # the rollback as of the same moment is no verdict
        ("07-04", "retrain", "refuse", "3"),
        ("07-04", "refresh", "refuse", "4"),
        ("07-04", "blind", None, None),
        ("07-05", "retrain", None, None),
        ("07-06", "keep", None, None),
    ]
    found = {f"{row['as_of']:%m-%d}": row for row in rows}
    assert (found["07-05"]["score"], found["07-05"]["threshold"]) == (25.0, 9.5)
    of_policy = [found["07-05"][name] for name in ("drift", "region", "confidence", "advice")]
    assert (found["07-06"]["drift"], found["07-06"]["region"]) == (None, None)
    assert of_policy == ["concept, label", "a up to 3 is no longer 1", 0.999, "retrain"]
    assert (found["07-03"]["reason"], found["07-03"]["score"]) == ("score 15; so it is", 15.0)
    assert (found["07-03"]["verdict_reason"], found["07-03"]["probability_better"]) == (
        "better",
        0.999,
    )


def test_open_alarms_are_what_nobody_has_answered_yet(engines: Engines) -> None:
    found = engines.rows("open_alarms", "alarm, subject")
    shown = [(row["alarm"], row["subject"], row["value"], row["threshold"]) for row in found]
    assert shown == [
        ("drift", "prediction", 0.25, 0.2),
        ("drift", "temp", 0.31, 0.2),
        ("labels overdue", "2019-07-02", 0.9, 0.95),
        ("retraining", "retrain", 25.0, 9.5),  # a refused refresh is none
    ]
    retraining = found[-1]
    assert (f"{retraining['since']:%m-%d}", f"{retraining['until']:%m-%d}") == ("07-04", "07-05")
    assert retraining["detail"] == "score 25; so it is"


def test_errors_of_a_slice_stand_beside_those_of_the_whole_table(engines: Engines) -> None:
    found = engines.rows("error_by_slice", "day, model_version, n_labelled")
    by_value = {
        row["slice_value"]: row
        for row in found
        if (row["model_version"], row["day"].day) == ("*", 2)
    }
    assert {value: (row["n_wrong"], row["n_labelled"]) for value, row in by_value.items()} == {
        None: (15, 90),
        "true": (12, 60),
        "false": (3, 30),
    }
    wrong, bounds = by_value["true"], binomtest(12, 60).proportion_ci(0.95, method="wilson")
    shares = [wrong[name] for name in ("error_rate", "error_rate_low", "error_rate_high")]
    assert shares == pytest.approx([0.2, bounds.low, bounds.high])
    assert wrong["error_rate_all"] == pytest.approx(15 / 90)
    assert wrong["share_of_errors"] == pytest.approx(12 / 15)


def test_what_a_challenger_calls_otherwise_is_a_row_for_each_region(engines: Engines) -> None:
    found = engines.rows("version_difference", "n_rows DESC")
    assert [
        (row["to_version"], row["region"], row["n_rows"], row["n_differ"]) for row in found
    ] == [
        ("3", None, 50, 4),
        ("3", "a up to 3", 5, 4),
    ]


def test_the_gain_of_retraining_is_counted_in_errors_day_by_day_and_so_far(
    engines: Engines,
) -> None:
    found = engines.rows("retraining_gain", "day")
    assert [f"{row['day']:%m-%d}" for row in found] == [
        "07-01",
        "07-02",
        "07-03",
    ]  # not 07-04: nothing is known of it
    assert [row["is_final"] for row in found] == [True, True, False]
    assert [row["errors_avoided"] for row in found] == [0, 5, -1]
    assert [row["errors_avoided_so_far"] for row in found] == [0, 5, 4]
    assert [row["n_labelled_so_far"] for row in found] == [10, 100, 120]
    assert [row["accuracy"] for row in found] == pytest.approx([9 / 10, 75 / 90, 18 / 20])
    assert [row["accuracy_without_retraining"] for row in found] == pytest.approx(
        [9 / 10, 70 / 90, 19 / 20]
    )
    assert found[2]["accuracy_so_far"] == pytest.approx(102 / 120)
    assert found[2]["accuracy_without_so_far"] == pytest.approx(98 / 120)


def test_the_gain_is_held_against_retraining_daily_too(engines: Engines) -> None:
    found = engines.rows("retraining_gain", "day")
    assert [row["accuracy_retrained_daily"] for row in found] == pytest.approx(
        [9 / 10, 77 / 90, 15 / 20]
    )
    assert [row["errors_avoided_against_daily"] for row in found] == [0, -2, 3]
    assert [row["errors_avoided_against_daily_so_far"] for row in found] == [0, -2, 1]
    assert [row["daily_trainings_so_far"] for row in found] == [0, 1, 2]


def test_a_decision_stands_beside_what_it_cost_and_what_came_of_it_until_the_next(
    engines: Engines,
) -> None:
    rows = engines.rows("decision_history", "as_of, decided_at, action")
    names = ("trained_rows", "training_seconds", "errors_avoided", "errors_avoided_against_daily")
    found = {
        (f"{row['as_of']:%m-%d}", row["action"]): tuple(row[name] for name in names) for row in rows
    }
    assert found["07-01", "train_first"] == (
        1151,
        None,
        5,
        -2,
    )  # until the 3rd, when version 2 took over
    assert found["07-03", "retrain"] == (
        345,
        2.5,
        None,
        None,
    )  # rolled back on the day on which it took over
    assert {found[key] for key in found if key[0] > "07-03"} == {(None, None, None, None)}


def test_each_scoring_and_each_training_is_listed_with_its_rows_and_seconds(
    engines: Engines,
) -> None:
    found = engines.rows("cost", "kind, recorded_at")
    shown = [(row["kind"], row["model_version"], row["rows"], row["seconds"]) for row in found]
    assert shown[:1] == [("scoring", "1", 100, 1.5)]
    assert ("training", "2", 345, 2.5) in shown
    assert [row["kind"] for row in found].count("training") == 4  # the rollback trained nothing


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_a_view_has_the_declared_columns_types_and_comments_in_both_engines(
    view: View, engines: Engines
) -> None:
    declared = [(column.name, column.ddl) for column in view.columns]
    table = engines.spark.table(view.full_name)
    assert [(field.name, field.dataType.simpleString()) for field in table.schema] == declared
    assert [field.metadata["comment"] for field in table.schema] == [
        column.comment for column in view.columns
    ]
    described = {
        row["col_name"]: row["data_type"]
        for row in spark_rows(engines.spark, f"DESCRIBE EXTENDED {view.full_name}")
    }
    described = duckdb_rows(engines.duckdb, f"DESCRIBE {view.full_name}")
    expected = [(name, _DUCKDB_TYPES.get(ddl, ddl.upper())) for name, ddl in declared]
    assert [(row["column_name"], row["column_type"]) for row in described] == expected
    comments = (
        f"SELECT comment FROM duckdb_columns() WHERE table_name = '{view.name}' ORDER BY "
        "column_index"
    )
    assert [row["comment"] for row in duckdb_rows(engines.duckdb, comments)] == [
        each.comment for each in view.columns
    ]
    grain = duckdb_rows(
        engines.duckdb, f"SELECT comment FROM duckdb_views() WHERE view_name = '{view.name}'"
    )
    assert grain == [{"comment": view.grain}]


def test_both_engines_show_each_table_with_its_comments(engines: Engines) -> None:
    for table in catalog_of(MODEL).tables:
        expected = [column.comment for column in table.columns]
        assert [
            field.metadata["comment"] for field in engines.spark.table(table.full_name).schema
        ] == expected
        where = f"schema_name = '{table.layer}' AND table_name = '{table.name}'"
        found = duckdb_rows(
            engines.duckdb,
            f"SELECT comment FROM duckdb_columns() WHERE {where} ORDER BY column_index",
        )
        assert [row["comment"] for row in found] == expected
        assert _comment_in_spark(engines.spark, table.full_name) == table.grain


def test_views_follow_the_settings_of_the_model() -> None:
    changes = {"granularities": ("1 hour", "24 hours"), "model_id_column": "release"}
    model = MODEL.model_copy(update={"metrics": MODEL.metrics.model_copy(update=changes)})
    views = {view.name: view for view in views_of(model, catalog_of(model))}
    assert "p.granularity = '24 hours'" in views["daily_quality"].sql
    for name in ("daily_quality", "error_by_slice"):
        assert "release" in [column.name for column in views[name].columns]
        assert "model_version" not in views[name].sql
    assert (
        "INTERVAL '176400' SECOND" in views["open_alarms"].sql
    )  # the label horizon and the patience


def test_a_table_of_the_model_cannot_have_the_name_of_a_view(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    catalog = catalog_of(MODEL)
    monkeypatch.setitem(catalog.predictions.__dict__, "layer", "gold")
    monkeypatch.setitem(catalog.predictions.__dict__, "name", "open_alarms")
    with pytest.raises(ConfigurationError, match=r"gold.open_alarms: is a view of the engine"):
        views_of(MODEL, catalog)


def test_the_files_of_names_change_only_when_the_declarations_do(
    spark: SparkSession, tmp_path: Path
) -> None:
    def opened() -> list[int]:
        open_lakehouse(spark, MODEL, EnvironmentSettings(root=str(tmp_path)))
        return [
            (tmp_path / "_system" / name).stat().st_mtime_ns
            for name in ("tables.sql", "tables.duckdb.sql")
        ]

    assert opened() == opened()
    (tmp_path / "_system" / "tables.sql").write_text("older")
    opened()
    assert "gold.daily_quality" in (tmp_path / "_system" / "tables.sql").read_text()


def test_an_hour_of_a_stream_has_its_quantiles_throughput_and_failures(engines: Engines) -> None:
    hour, next_hour = engines.rows("operations", "hour, query")
    seconds = np.array([1.0, 2.0, 6.0])  # those of the failed attempt are no batch's
    assert (hour["hour"], hour["query"]) == (moment("2026-01-01T12:00"), "score")
    assert (hour["batches"], hour["failures"], hour["error_share"]) == (3, 1, 0.25)
    assert hour["seconds_p50"] == np.quantile(seconds, 0.5)
    assert hour["seconds_p95"] == pytest.approx(np.quantile(seconds, 0.95), rel=1e-12)
    assert (hour["rows_in"], hour["rows_out"], hour["rows_rejected"]) == (300, 297, 3)
    assert hour["rows_per_second"] == pytest.approx(300 / 9)
    assert (hour["lag_seconds"], hour["backlog_files"], hour["backlog_rows"]) == (60.0, 5, 960)
    assert (next_hour["query"], next_hour["batches"], next_hour["error_share"]) == (
        "ingest",
        1,
        0.0,
    )
    assert (next_hour["rows_in"], next_hour["rows_per_second"]) == (None, None)
