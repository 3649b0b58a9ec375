"""What maintenance must know of a lakehouse, read without Spark: needs, logs, files."""

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from deltalake import DeltaTable

from lakehouse.errors import ConfigurationError
from lakehouse.lineage.reading import copy_metrics, records_of
from lakehouse.maintenance import needs
from lakehouse.maintenance.needs import Need
from lakehouse.operations.marks import running
from lakehouse.settings import EnvironmentSettings, ModelSettings
from lakehouse.sql.lineage_views import HELD_BY_LATER
from lakehouse.storage.commits import followed
from lakehouse.storage.delta.file_statistics import files_of
from lakehouse.storage.delta.log_files import Log
from lakehouse.storage.delta_log import actions_of
from lakehouse.storage.folders import FileOnDisk, Folder
from lakehouse.storage.mlflow_place import Place
from lakehouse.storage.plain_tables import Row, read_rows
from lakehouse.tables import Catalog, Table, catalog_of

JOB = "maintain"
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Reading:
    """A lakehouse by its root, as it is on disk.

    Attributes:
        root: of the lakehouse, absolute.
        model: its settings.
        environment: where MLflow is.
    """

    root: str
    model: ModelSettings
    environment: EnvironmentSettings

    @cached_property
    def catalog(self) -> Catalog:
        """The tables that are declared."""
        return catalog_of(self.model)

    @cached_property
    def tables(self) -> tuple[Table, ...]:
        """Those that there are.

        Raises:
            ConfigurationError: there are none.
        """
        found = tuple(t for t in self.catalog.tables if DeltaTable.is_deltatable(self.path(t)))
        if not found:
            raise ConfigurationError(
                f"{self.root}: there is no lakehouse; name its root, and its model's YAML file"
            )
        return found

    def path(self, table: Table) -> str:
        """The path of a table."""
        return table.path_in(self.root)

    def log(self, table: Table) -> Log:
        """What the log of a table has now."""
        return Log.of(self.path(table))

    def needs(self) -> list[Need]:
        """All that is known to be needed, but for running jobs.

        Raises:
            RegistryError: MLflow does not answer, so nobody knows what its versions need.
        """
        promotions = read_rows(self.root, self.catalog.promotion)
        return [
            *needs.of_models(self._registered()),
            *needs.of_promotions(promotions),
            *needs.of_edges(self._edges()),
            *self._of_streams(),
            *needs.of_record(self._recorded()),
        ]

    def running(self) -> list[tuple[str, dt.datetime]]:
        """Other jobs that run on this machine, and when their pass began."""
        found = [(process.job, done.began_at) for process, done in running(self.root)]
        return [(job, began_at) for job, began_at in found if job != JOB]

    def _registered(self) -> Mapping[str, Mapping[str, int]]:
        folder, given = f"{self.root}/mlflow", self.environment
        uri = given.tracking_uri
        if uri is None and "mlflow.db" not in {file.name for file in Folder(folder).files()}:
            return {}  # nothing was ever trained
        from lakehouse.storage.registry import Registry  # takes seconds to import

        location = given.artifact_location or f"{folder}/artifacts"
        place = Place(uri or f"sqlite:///{folder}/mlflow.db", location, moves_as_one=False)
        return Registry(self.model.name, place).table_versions()

    def _edges(self) -> list[Row]:
        with records_of(self.root, self.model) as records:
            copy_metrics(records, None)
            return records.rows(
                "SELECT from_id, MIN(to_id) AS to_id FROM gold.lineage "
                f"WHERE from_kind = 'table' AND relation <> '{HELD_BY_LATER}' "
                "GROUP BY from_id, relation ORDER BY from_id"
            )

    def _of_streams(self) -> list[Need]:
        by_id = {str(DeltaTable(self.path(t)).metadata().id): t.full_name for t in self.tables}
        folder = Folder(f"{self.root}/_system/checkpoints")
        by_query: dict[str, dict[str, set[int]]] = {}
        for file in folder.files():
            query, _, rest = file.name.partition("/")
            kind, _, number = rest.partition("/")
            if kind in ("offsets", "commits") and _NUMBER.fullmatch(number):
                by_query.setdefault(query, {}).setdefault(kind, set()).add(int(number))
        found: list[Need] = []
        for query, numbers in sorted(by_query.items()):
            newest = sorted(numbers.get("offsets", ()))[-2:]
            offsets = {number: _text(folder, f"{query}/offsets/{number}") for number in newest}
            committed = numbers.get("commits", set())
            found += needs.of_checkpoint(query, offsets, committed, by_id)
        return found

    def _recorded(self) -> dict[str, int]:
        table = self.catalog.table_commit
        if table not in self.tables:
            return {}
        delta = DeltaTable(self.path(table))
        reached = {t.full_name: delta.transaction_version(t.full_name) for t in self._followed}
        return {name: -1 if version is None else version for name, version in reached.items()}

    @property
    def _followed(self) -> list[Table]:
        return [table for table in followed(self.catalog, self.model) if table in self.tables]


def _text(folder: Folder, name: str) -> str:
    """A file of a running stream's checkpoint; empty where it has just gone."""
    try:
        with folder.open(name) as file:
            return file.read().decode()
    except OSError:
        return ""


def paths_in(path: str, ranges: Iterable[tuple[int, int]]) -> set[str]:
    """The files, by their paths in the log, that the versions of a table in these ranges have.

    Raises:
        DeltaError: the first of a range cannot be read.
    """
    paths: set[str] = set()
    for first, last in ranges:
        paths |= set(files_of(DeltaTable(path, version=first))["path"].to_pylist())
        paths |= paths_named(path, range(first + 1, last + 1), ("add",))
    return paths


def paths_named(
    path: str, versions: Iterable[int], kinds: tuple[str, ...] = ("add", "remove")
) -> set[str]:
    """The files that commits of a table name, by their paths in the log."""
    actions = (action for version in versions for action in actions_of(path, version) or ())
    return {action[kind]["path"] for action in actions for kind in kinds if kind in action}


def data_files(path: str) -> list[FileOnDisk]:
    """All files in a table's folder but for its log and what others keep there hidden."""
    return [
        file
        for file in Folder(path).files()
        if not any(part.startswith("_") for part in file.name.split("/"))
        and ".parquet" in file.name
    ]
