import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from lakehouse.errors import ConfigurationError
from lakehouse.settings import load_model_settings
from lakehouse.sql import prompt as sql
from lakehouse.sql.catalogue import as_duckdb_sql, as_spark_sql, at_root, in_duckdb, statements_of
from lakehouse.sql.views import views_of
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.tables import catalog_of
from tests.support.engines import alike, duckdb_of, duckdb_rows, known_to_spark, spark_rows
from tests.support.opened import opened
from tests.support.rows import moment

MODEL = load_model_settings("conf/glassware.yaml")
CATALOG = catalog_of(MODEL)


def _named(root: str) -> str:
    return as_spark_sql(
        CATALOG, views_of(MODEL, CATALOG), root, lambda table: f"{root}/{table.layer}/{table.name}"
    )


@pytest.fixture
def lakehouse(spark: SparkSession, tmp_path: Path) -> Lakehouse:
    return opened(spark, MODEL, tmp_path / "lakehouse")


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A working directory with what the repository's root has for a job."""
    folder = tmp_path / "work"
    folder.mkdir()
    for name in ("conf", ".venv"):
        (folder / name).symlink_to(Path(name).resolve())
    return folder


@pytest.mark.slow
def test_the_prompt_shows_what_the_pipeline_has_just_written_and_leaves_nothing_behind(
    lakehouse: Lakehouse, workplace: Path, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    words = [sys.executable, str(Path("jobs/sql.py").resolve()), "--root", lakehouse.store.root]
    environment = {**os.environ, "TMPDIR": str(scratch), "PYTHONPATH": str(Path.cwd())}
    pipes: dict[str, Any] = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
    }
    with subprocess.Popen(
        words, cwd=workplace, env=environment, text=True, bufsize=1, **pipes
    ) as prompt:
        assert prompt.stdin is not None
        assert prompt.stdout is not None
        answers = iter(prompt.stdout)
        # The pipeline holds its lock meanwhile, as a running one does.
        with lakehouse.store.writing(lakehouse.catalog.decision):
            prompt.stdin.write(
                "SELECT 'n' AS shown, COUNT(*), MAX(model_version) FROM gold.decision;\n"
            )
            assert _line(answers, "n\t") == "n\t0\tNULL"
            lakehouse.store.append_rows(
                [{"as_of": moment("2019-07-03"), "model_version": "7"}], lakehouse.catalog.decision
            )
            prompt.stdin.write(
                "SELECT 'n' AS shown, COUNT(*), MAX(model_version) FROM gold.decision;\n"
            )
            assert _line(answers, "n\t") == "n\t1\t7"
        told, errors = prompt.communicate(
            "SHOW VIEWS IN gold;\nDESCRIBE EXTENDED gold.decision;\n", timeout=60
        )
    assert prompt.returncode == 0, errors[-2000:]
    shown = {line.strip() for line in told.splitlines()}
    assert {view.name for view in views_of(MODEL, CATALOG)} <= shown
    assert any(line.startswith("Comment") and CATALOG.decision.grain in line for line in shown)
    assert any(line.startswith("change_at") and "When the change began" in line for line in shown)
    assert errors.count("Time taken") == 4, "those of the person's own statements"
    assert sorted(path.name for path in workplace.iterdir()) == [".venv", "conf"]
    assert list(scratch.iterdir()) == []


def _line(answers: Iterator[str], start: str) -> str:
    return next(line.strip() for line in answers if line.startswith(start))


def test_a_folder_without_a_lakehouse_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"--root: .* holds no lakehouse; write the folder of one"
    ):
        sql.open_prompt(tmp_path)


def test_names_that_an_older_commit_wrote_are_refused_since_they_may_be_of_another_place(
    tmp_path: Path,
) -> None:
    (tmp_path / "_system").mkdir()
    (tmp_path / "_system" / "tables.sql").write_text("CREATE DATABASE IF NOT EXISTS gold;\n")
    with pytest.raises(
        ConfigurationError, match="an older commit wrote it; run a job there once more"
    ):
        sql.names_of(tmp_path)


@pytest.mark.parametrize(
    ("before", "after"), [("/a", "/a/b"), ("/it's", "/moved"), ("/a/b", "/it's \\ here")]
)
def test_a_lakehouse_that_was_copied_is_read_where_it_lies_now(before: str, after: str) -> None:
    assert at_root(_named(before), after) == _named(after)
    assert at_root(_named(before), before) == _named(before)


def test_only_the_answers_to_the_persons_own_query_are_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sql._relay_answers(
        ["key\tvalue\n", "spark.sql.cli.print.header\ttrue\n", "day\n", "2019-07-01\n"]
    )
    sql._relay_messages(
        io.StringIO("Time taken: 1 s\nTime taken: 2 s\nTime taken: 3 s\nWARN disk\n"),
        n_statements=2,
    )
    shown = capsys.readouterr()
    assert shown.out == "day\n2019-07-01\n"
    assert shown.err == "Time taken: 3 s\nWARN disk\n"


def test_each_statement_ends_where_it_should() -> None:
    statements = statements_of(_named("/place; with a semicolon"))
    starts = [line for line in _named("/place").splitlines() if line.startswith("CREATE")]
    assert len(statements) == len(starts) == 3 + len(CATALOG.tables) + len(views_of(MODEL, CATALOG))


def test_duckdbs_names_are_given_in_utc() -> None:
    text = as_duckdb_sql(CATALOG, (), "/place", lambda table: f"/place/{table.name}")
    assert "SET TimeZone = 'UTC';" in text
    assert "FROM delta_scan('/place/decision')" in text


def test_a_query_for_duckdb_quotes_the_names_that_are_words_of_its_own() -> None:
    assert '"window"."end"' in in_duckdb("SELECT p.window.end FROM gold.profile_metrics AS p")


def test_a_model_of_another_shape_has_the_same_views(spark: SparkSession, depot: Lakehouse) -> None:
    root = depot.store.root
    duckdb = duckdb_of(root)

    def rows(query: str) -> list[dict[str, Any]]:
        by_spark = spark_rows(spark, query)
        assert alike(by_spark) == alike(duckdb_rows(duckdb, query))
        return by_spark

    with known_to_spark(spark, root):
        days = rows("SELECT * FROM gold.daily_quality WHERE model_version = '*' ORDER BY day")
        history = rows("SELECT model_version, is_champion FROM gold.production_history")
        slices = rows(
            "SELECT day, n_wrong FROM gold.error_by_slice WHERE model_version = '*' AND slice_key "
            "IS NULL ORDER BY day"
        )
        rows("SELECT * FROM gold.open_alarms ORDER BY alarm, subject")
    assert sum(day["n_rows"] for day in days) == 300
    assert history == [{"model_version": "1", "is_champion": True}]
    assert days[-1]["champion"] == "1"
    right = [round(day["accuracy"] * day["n_labelled"]) for day in days]
    wrong = [day["n_labelled"] - each for day, each in zip(days, right, strict=True)]
    assert wrong == [row["n_wrong"] for row in slices]
