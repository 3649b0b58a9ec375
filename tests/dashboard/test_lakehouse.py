"""The page of a lakehouse on disk: its answers are SQL's, and it is drawn anew when a table moves."""

import datetime as dt
import http.client
import logging
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from lakehouse.dashboard import build
from lakehouse.dashboard.answers import answers_of
from lakehouse.dashboard.build import draw_page, page_path, renew_page, write_page
from lakehouse.dashboard.server import RenewedPage, server_of
from lakehouse.errors import ConfigurationError
from lakehouse.storage.store import Transaction
from tests.dashboard.models import QUERIES
from tests.support.engines import alike, known_to_spark, spark_rows


@pytest.fixture(scope="module")
def root(three_nights) -> Path:
    return Path(three_nights.store.root)


@pytest.fixture
def copy(root, tmp_path) -> Path:
    """A lakehouse that a test may change; it was moved, as a copy is."""
    place = tmp_path / "copy"
    shutil.copytree(root, place, ignore=shutil.ignore_patterns("mlflow", "landing", "report"))
    return place


def test_the_answers_are_those_that_spark_gives_to_the_same_queries(spark, three_nights, root):
    answers = answers_of(root).answers
    with known_to_spark(spark, three_nights.store.root):
        for name, sql in QUERIES.items():
            own = [dict(row) for row in answers[name].rows]
            assert alike(own) == alike(spark_rows(spark, sql)), name
            assert answers[name].sql == sql
    values = (value for each in answers.values() for row in each.rows for value in row.values())
    times = [value for value in values if isinstance(value, dt.datetime)]
    assert {time.utcoffset() for time in times} == {dt.timedelta()}
    assert [name for name, answer in answers.items() if not answer.rows] == [
        "alarms",
        "rollouts",
        "quarantine",
        "failures",
    ]


def test_each_run_of_the_pipeline_leaves_the_page_of_what_the_tables_hold(root):
    assert page_path(root).read_bytes() == draw_page([root])


def test_a_second_model_with_tables_and_columns_of_its_own_is_answered_too(depot):
    model = answers_of(Path(depot.store.root))
    assert model.name == "parcel"
    assert model.rows("decisions")


def test_drawing_needs_no_spark_and_writes_nothing_into_the_lakehouse(copy, tmp_path):
    before = sorted(path.relative_to(copy) for path in copy.rglob("*"))
    script = (
        "import sys; sys.argv[1:] = ['--root', sys.argv[1], '--output', sys.argv[2]];"
        "from jobs.dashboard import main; main();"
        "from pyspark import SparkContext; assert SparkContext._gateway is None"
    )
    output = tmp_path / "page.html"
    subprocess.run(
        [sys.executable, "-c", script, str(copy), str(output)],
        check=True,
        env={"PYTHONPATH": ".", "PATH": "", "JAVA_HOME": "/nowhere"},
    )
    assert output.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert sorted(path.relative_to(copy) for path in copy.rglob("*")) == before


def test_a_page_of_which_nothing_changed_is_the_same_and_is_not_written(copy):
    path = page_path(copy)
    assert write_page([copy], path)
    first = path.read_bytes()
    path.touch()
    stamp = path.stat().st_mtime_ns
    assert not write_page([copy], path)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (first, stamp)
    assert [each.name for each in path.parent.iterdir()] == ["dashboard.html"]


def test_a_folder_without_a_lakehouse_is_an_error_that_says_what_to_write(tmp_path):
    with pytest.raises(ConfigurationError, match="holds no lakehouse; write the folder of one"):
        write_page([tmp_path], tmp_path / "page.html")


def test_a_lakehouse_that_an_older_release_wrote_last_is_an_error_that_says_what_to_run(copy):
    names = copy / "_system" / "tables.duckdb.sql"
    names.write_text(names.read_text().replace("version_difference", "of_before"))
    with pytest.raises(ConfigurationError, match=r"older release; run jobs/run_pipeline\.py"):
        answers_of(copy)


def test_a_run_of_the_pipeline_renews_the_page_and_outlives_one_that_cannot_be_drawn(
    copy, monkeypatch, caplog
):
    renew_page(str(copy))
    page = page_path(copy).read_bytes()
    assert b"glassware" in page

    def broken(roots):
        raise ZeroDivisionError

    monkeypatch.setattr(build, "draw_page", broken)
    with caplog.at_level(logging.WARNING):
        renew_page(str(copy))
    assert "the one before stays" in caplog.text
    assert page_path(copy).read_bytes() == page


def test_a_lakehouse_in_an_object_store_has_no_page(monkeypatch):
    written = []
    monkeypatch.setattr(build, "write_page", lambda roots, path: written.append(path))
    renew_page("s3://bucket/lakehouse")
    renew_page("/lakehouse")
    assert written == [Path("/lakehouse/report/dashboard.html")]


def _move(three_nights, copy: Path) -> None:
    """Append a row of scoring costs."""
    from dataclasses import replace

    store = replace(three_nights.store, root=str(copy))
    row = {"query_id": "q", "batch_id": 99, "model_version": "1", "rows": 5, "seconds": 1.0}
    store.append_rows([row], three_nights.catalog.scoring_cost, Transaction("test", 1))


@pytest.mark.spark
def test_a_page_is_drawn_anew_when_a_table_has_moved_and_only_then(three_nights, copy):
    page = RenewedPage([copy])
    first = page.now()
    assert page.now() is first
    _move(three_nights, copy)
    assert page.now() != first
    assert page.drawn == 2


@pytest.fixture
def port(copy) -> Iterator[int]:
    with server_of([copy], 0) as server:
        assert server.server_address[0] == "127.0.0.1"
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def _get(port: int, path: str = "/", **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path, headers=headers)
    return connection.getresponse()


def test_a_browser_that_has_the_page_is_told_so(port):
    answer = _get(port)
    assert (answer.status, answer.getheader("Content-Type")) == (200, "text/html; charset=utf-8")
    assert answer.read().startswith(b"<!doctype html>")
    again = _get(port, **{"If-None-Match": answer.getheader("ETag")})
    assert (again.status, again.read()) == (304, b"")


def test_prometheus_is_told_beside_the_page(port):
    answer = _get(port, "/metrics")
    assert answer.getheader("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
    text = answer.read().decode()
    assert 'lakehouse_champion_info{model="glassware",version="2"} 1.0' in text
    assert 'lakehouse_rows_total{model="glassware",query="score",result="out"}' in text


def test_another_name_for_this_machine_and_another_path_are_refused(port):
    assert _get(port, Host="evil.example").status == 403
    assert _get(port, Host=f"localhost:{port}").status == 200
    assert _get(port, "/../_system/sql_login").status == 404


def test_a_port_that_is_taken_is_an_error_that_says_what_to_do(copy, port):
    with pytest.raises(ConfigurationError, match=f"--port: {port} is taken"):
        server_of([copy], port)
