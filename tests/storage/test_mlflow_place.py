"""MLflow's SQLite file is there whole, or not at all: a kill while it is made blocks no later run."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from lakehouse.storage.mlflow_client import make_tables
from lakehouse.storage.mlflow_place import Place

pytestmark = pytest.mark.slow  # MLflow sets up a database


def place_in(folder: Path) -> Place:
    return Place(f"sqlite:///{folder / 'mlflow' / 'mlflow.db'}", str(folder / "artifacts"))


def experiments(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "mlflow" / "mlflow.db")) as connection:
        return [row[0] for row in connection.execute("SELECT name FROM experiments")]


def test_nothing_is_at_its_place_before_it_is_whole(tmp_path: Path):
    def cut_off(uri: str) -> None:
        sqlite3.connect(uri.removeprefix("sqlite:///")).execute("CREATE TABLE runs (x)")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        place_in(tmp_path).make(cut_off)
    assert not (tmp_path / "mlflow" / "mlflow.db").exists()
    place_in(tmp_path).make(make_tables)
    assert experiments(tmp_path) == ["Default"]
    assert [path.name for path in (tmp_path / "mlflow").iterdir()] == ["mlflow.db"]


def test_what_an_earlier_release_left_half_made_is_made_anew(tmp_path: Path):
    database = tmp_path / "mlflow" / "mlflow.db"
    database.parent.mkdir()
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE experiments (name)")
        connection.execute("CREATE TABLE _alembic_tmp_latest_metrics (x)")
    place_in(tmp_path).make(make_tables)
    assert experiments(tmp_path) == ["Default"]


def test_what_is_whole_stays(tmp_path: Path):
    place_in(tmp_path).make(make_tables)
    with closing(sqlite3.connect(tmp_path / "mlflow" / "mlflow.db")) as connection, connection:
        connection.execute("UPDATE experiments SET name = 'ours'")
    place_in(tmp_path).make(make_tables)
    assert experiments(tmp_path) == ["ours"]


def test_a_file_that_is_no_database_is_not_overwritten(tmp_path: Path):
    database = tmp_path / "mlflow" / "mlflow.db"
    database.parent.mkdir()
    database.write_bytes(b"somebody's file" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        place_in(tmp_path).make(make_tables)
    assert database.read_bytes().startswith(b"somebody")


def test_a_server_needs_no_file(tmp_path: Path):
    Place("http://127.0.0.1:1", str(tmp_path)).make(make_tables)
    assert not list(tmp_path.iterdir())
