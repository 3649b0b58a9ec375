"""The figures of a lakehouse on disk: as its tables say, in a file and over HTTP; without Spark."""

import datetime as dt
import shutil
import urllib.error
import urllib.request

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from prometheus_client.parser import text_string_to_metric_families

from lakehouse.errors import ConfigurationError
from lakehouse.prometheus import publish
from lakehouse.prometheus.publish import exposition_path, renew_exposition, serve_exposition
from lakehouse.prometheus.reading import figures_of
from lakehouse.tables import BATCH_METRICS, JOB_RUN
from tests.support.alert_rows import DAY, START, drift_row, window_row
from tests.support.batch_reports import AT, SECOND
from tests.support.monitored import run
from tests.support.plain_delta import lakehouse_at, replace_rows


def batch(number, query="score", minutes=0, **given):
    """A row of gold.batch_metrics."""
    at = AT + minutes * 60 * SECOND
    row = {"query": query, "query_id": "q", "batch_id": number, "outcome": "ok", "seconds": 2.0}
    counts = {"rows_in": 192, "rows_out": 190, "rows_rejected": 2, "rows_duplicate": 0}
    return row | counts | {"began_at": at, "recorded_at": at} | given


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "a plant"
    root.mkdir()
    catalog = lakehouse_at(root)
    read = {"silver.sensor_reading": 2}
    replace_rows(
        root,
        catalog.batch_metrics,
        [
            batch(0, source_versions={"silver.sensor_reading": 1}, heap_used_bytes=1),
            batch(1, minutes=5, source_versions=read, heap_used_bytes=2, lag_seconds=1.5),
            batch(2, minutes=9, outcome="failed", rows_in=None),
        ],
    )
    replace_rows(root, catalog.job_run, [run("score") | {"pass": 1}])
    replace_rows(
        root,
        catalog.profile_metrics,
        [
            window_row(day, n_labelled=100, accuracy_score=share, granularity="1 day", **given)
            for day, share, given in (
                (0, 0.8, {}),
                (1, 0.9, {}),
                (2, 0.1, {"is_final": False}),
                (3, 0.2, {"slice_key": "line", "slice_value": "a"}),
                (3, 0.3, {"model_version": "1"}),
                (3, 0.4, {"column_name": "temp"}),
            )
        ],
    )
    drifts = [drift_row(1, "temp", 0.3), drift_row(0, "temp", 0.9), drift_row(1, "score", 4.0)]
    replace_rows(root, catalog.drift_metrics, drifts)
    moved = [("promote", "1", 0), ("promote", "2", 1), ("rollback", "1", 2), ("refuse", "3", 3)]
    rows = [
        {"action": action, "to_version": version, "recorded_at": START + place * DAY}
        for action, version, place in moved
    ]
    replace_rows(root, catalog.promotion, rows)
    return root


def test_the_figures_are_those_of_the_tables(root):
    found = figures_of(root, AT + dt.timedelta(hours=1))
    assert found.model == "glassware"
    totals = found.batches["score"]
    assert totals.rows == {"in": 384, "out": 380, "rejected": 4, "duplicate": 0}
    assert totals.outcomes == {"ok": 2, "failed": 1}
    assert found.newest["score"]["heap_used_bytes"] == 2
    assert [row["job"] for row in found.runs] == ["score"]
    # Of the newest final day, without slices, of all versions and of the whole table.
    assert found.quality is not None
    assert (found.quality.accuracy, found.quality.n_labelled) == (0.9, 100)
    assert found.psi == {"temp": 0.3}
    assert found.champion == "1"
    assert set(found.commits) >= {"gold.job_run", "silver.sensor_reading"}


def test_what_waits_is_what_the_sources_hold_by_now(root):
    path = root / "silver" / "sensor_reading"
    assert figures_of(root, AT).waiting["score"]["backlog_files"] == 0
    # Version 2 is the first that the newest batch did not read.
    for rows in ([], [1], [1, 2]):
        write_deltalake(path, _readings(path, rows), mode="append", schema_mode="merge")
    at = dt.datetime.now(dt.UTC)
    waiting = figures_of(root, at).waiting["score"]
    assert (waiting["backlog_files"], waiting["backlog_rows"]) == (2, 3)
    assert 0 <= waiting["oldest_waiting_seconds"] < 60


def _readings(path, rows):
    schema = pa.schema(DeltaTable(path).schema().to_arrow())
    return pa.Table.from_pylist([{"pid": each} for each in rows], schema)


def test_the_file_is_what_node_exporter_reads_and_is_put_in_place_at_once(root):
    renew_exposition(str(root))
    path = exposition_path(root)
    families = {family.name for family in text_string_to_metric_families(path.read_text())}
    assert {"lakehouse_rows", "lakehouse_accuracy", "lakehouse_champion_info"} <= families
    assert [each.name for each in path.parent.iterdir()] == ["lakehouse.prom"]


def test_a_file_that_cannot_be_written_is_a_warning_and_the_one_before_stays(
    root, monkeypatch, caplog
):
    renew_exposition(str(root))
    before = exposition_path(root).read_bytes()
    monkeypatch.setattr(publish, "figures_of", lambda *_: 1 / 0)
    renew_exposition(str(root))
    assert exposition_path(root).read_bytes() == before
    assert "the metrics' file could not be written" in caplog.text


def test_a_folder_without_a_lakehouse_and_an_object_store_get_no_file(tmp_path):
    renew_exposition(str(tmp_path))
    renew_exposition("s3://bucket/plant")
    assert list(tmp_path.iterdir()) == []


def test_a_lakehouse_whose_tables_an_older_release_made_has_figures_too(tmp_path):
    catalog = lakehouse_at(tmp_path)
    for table in (BATCH_METRICS, JOB_RUN):
        shutil.rmtree(tmp_path / "gold" / table.name)
    found = figures_of(tmp_path, AT)
    assert (found.batches, found.runs, found.quality) == ({}, [], None)
    assert catalog.job_run.full_name not in found.commits


def _get(port, path="/metrics", host=None):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}")
    if host:
        request.add_header("Host", host)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def test_a_job_that_runs_for_ever_serves_its_figures_on_loopback_to_its_own_name_alone(root):
    server = serve_exposition(str(root), 0)
    port = server.server_address[1]
    try:
        assert server.server_address[0] == "127.0.0.1"
        kind, text = _get(port)
        assert kind.startswith("text/plain; version=0.0.4")
        assert 'lakehouse_champion_info{model="glassware",version="1"} 1.0' in text
        for path, host, code in (("/", None, 404), ("/metrics", "evil.example", 403)):
            with pytest.raises(urllib.error.HTTPError) as refused:
                _get(port, path, host)
            assert refused.value.code == code
        with pytest.raises(ConfigurationError, match=f"--metrics-port: {port} is taken"):
            serve_exposition(str(root), port)
    finally:
        server.shutdown()
        server.server_close()


def test_the_newest_final_day_is_found_however_late_its_labels_are(tmp_path):
    late = lakehouse_at(tmp_path)
    rows = [
        window_row(day, n_labelled=10, accuracy_score=0.5 + day / 100, is_final=day < 3)
        for day in range(20)
    ]
    replace_rows(tmp_path, late.profile_metrics, rows)
    quality = figures_of(tmp_path, AT).quality
    assert quality is not None
    assert quality.accuracy == pytest.approx(0.52)
