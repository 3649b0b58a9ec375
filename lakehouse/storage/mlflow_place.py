"""Where MLflow keeps a model's runs and versions, and how that place moves."""

import sqlite3
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

    def make(self) -> None:
        """Create the folder of an SQLite file; a server needs none."""
        if self.tracking_uri.startswith(_SQLITE):
            self._database.parent.mkdir(parents=True, exist_ok=True)

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
