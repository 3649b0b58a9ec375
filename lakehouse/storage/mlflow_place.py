"""Where MLflow keeps a model's runs and versions, and how that place moves."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

_SQLITE = "sqlite:///"


@dataclass(frozen=True)
class Place:
    """Where MLflow keeps a model's runs and versions.

    Attributes:
        tracking_uri: of an MLflow server, or of an SQLite file.
        artifact_location: where runs keep their files.
        moves_as_one: whether both lie in the lakehouse's folder, and move with it.
    """

    tracking_uri: str
    artifact_location: str
    moves_as_one: bool = False

    def make(self, fill: Callable[[str], None]) -> None:
        """Make an SQLite file where it is missing, whole or not at all; a server needs none.

        MLflow makes its tables in some fifty steps, and goes on with none that was cut off.

        Args:
            fill: makes MLflow's tables in the SQLite file of a URI.
        """
        if not self.tracking_uri.startswith(_SQLITE) or self._is_whole():
            return
        unfinished = self._database.with_name(f".{self._database.name}.unfinished")
        self._database.parent.mkdir(parents=True, exist_ok=True)
        for path in (unfinished, self._database):
            # A journal would be taken for the new file's.
            path.with_name(f"{path.name}-journal").unlink(missing_ok=True)
        unfinished.unlink(missing_ok=True)
        fill(f"{_SQLITE}{unfinished}")
        unfinished.replace(self._database)

    def _is_whole(self) -> bool:
        """Whether the file has what MLflow makes last, an experiment; without one it has no run."""
        if not self._database.exists():
            return False
        with closing(sqlite3.connect(self._database)) as connection:
            try:
                return bool(connection.execute("SELECT 1 FROM experiments LIMIT 1").fetchall())
            except sqlite3.OperationalError as error:
                if "no such table" not in str(error):
                    raise
                return False

    def adopt(self, artifacts_before: str) -> None:
        """Tell an SQLite file that its artifacts moved with it: MLflow keeps absolute paths."""
        now, before = self.artifact_location, artifacts_before
        with closing(sqlite3.connect(self._database)) as connection, connection:
            for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                    f"WHERE substr({column}, 1, ?) = ?",
                    (now, len(before) + 1, len(before), before),
                )

    @property
    def _database(self) -> Path:
        return Path(self.tracking_uri.removeprefix(_SQLITE))
