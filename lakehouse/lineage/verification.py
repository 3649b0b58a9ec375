"""Does what is on record still hold? Files, counts, models, predictions and windows, read again."""

import datetime as dt
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.errors import LakehouseError, RegistryError, StoreError
from lakehouse.explain.rows import PlainRows
from lakehouse.explain.versions import PlainVersions
from lakehouse.lineage.reading import Records, Row, copy_metrics
from lakehouse.lineage.recomputed import CLOSE, differing_predictions, figures_of
from lakehouse.settings import EnvironmentSettings
from lakehouse.sql.lineage_views import HELD_BY_LATER
from lakehouse.storage.commits import file_sha256
from lakehouse.storage.delta.log_files import Log
from lakehouse.storage.delta_log import actions_of
from lakehouse.storage.folders import Folder
from lakehouse.storage.plain_tables import read_at
from lakehouse.storage.snapshot import Snapshot
from lakehouse.tables import Catalog, Table, catalog_of
from lakehouse.versions.actions import ADMITTED

SAME, DIFFERENT, GONE = "same", "DIFFERENT", "gone"
LOG_KEPT = dt.timedelta(days=30)
"""How long Delta kept commits before there was maintenance, whoever needed them."""


@dataclass(frozen=True)
class Check:
    """What was compared of one thing.

    Attributes:
        what: kind of comparison, in words.
        subject: id of the thing.
        state: SAME, DIFFERENT, or GONE where it cannot be read any more, as it may be.
        words: what was found; empty where it is the same.
    """

    what: str
    subject: str
    state: str
    words: str = ""


@dataclass(frozen=True)
class Verification:
    """What is on record of a lakehouse, or of one node's ancestors, read again.

    Attributes:
        records: of the lakehouse.
        environment: where MLflow keeps files, and where lines land.
        ids: what to look at; None for everything.
    """

    records: Records
    environment: EnvironmentSettings
    ids: frozenset[str] | None = None

    def checks(self) -> Iterator[Check]:
        """Every comparison, one after the other; nothing is written."""
        yield from self._landed_files()
        for commit in self._commits:
            yield from self._of_commit(commit)
        yield from self._counts()
        yield from self._models()
        for commit in self._commits:
            if commit["table_name"] == self._catalog.predictions.full_name and commit["rows"]:
                yield self._checked("predictions", commit["id"], self._predictions, commit)
        for window in self._windows():
            yield self._checked("windows", window["window_id"], self._window, window)

    def _checked(
        self, what: str, subject: str, difference: Callable[[Row], str], row: Row
    ) -> Check:
        """A comparison that reads tables and models, which may be gone or changed."""
        try:
            words = difference(row)
        except LakehouseError as error:
            return Check(what, subject, DIFFERENT, str(error))
        return Check(what, subject, DIFFERENT if words else SAME, words)

    @cached_property
    def _catalog(self) -> Catalog:
        return catalog_of(self.records.model)

    @cached_property
    def _versions(self) -> PlainVersions:
        return PlainVersions(self.records.root, self.records.model, self.environment)

    @cached_property
    def _commits(self) -> list[Row]:
        rows = self.records.rows(
            "SELECT *, CONCAT(table_name, '#', CAST(version AS STRING)) AS id "
            "FROM gold.table_commit ORDER BY table_name, version"
        )
        return [row for row in rows if self._is_asked(row["id"])]

    def _is_asked(self, node: str) -> bool:
        return self.ids is None or node in self.ids

    def _path(self, name: str) -> str:
        return f"{self.records.root}/{name.replace('.', '/')}"

    def _landed_files(self) -> Iterator[Check]:
        """Files in the landing folder, which may be cleared: by the digest of when they landed."""
        landing = self.environment.landing or f"{self.records.root}/landing"
        sql = "SELECT * FROM bronze.landed_file WHERE status = 'landed' AND sha256 IS NOT NULL"
        for row in self.records.rows(sql):
            node = f"file/{row['landed_file_id']}"
            if self._is_asked(node):
                found = file_sha256(Folder(landing), row["source_file"])
                yield _digest("landed files", node, row["source_file"], row["sha256"], found, GONE)

    def _of_commit(self, commit: Row) -> Iterator[Check]:
        """Its entry in the log, and the data files that it added."""
        name, version = commit["table_name"], commit["version"]
        if actions_of(self._path(name), version) is None:
            state = GONE if self._was_let_go(name, version) else DIFFERENT
            yield Check("commits", commit["id"], state, "its commit is not in the log any more")
        else:
            yield Check("commits", commit["id"], SAME)
        folder = Folder(self._path(name))
        for path, digest in dict(commit["files"] or ()).items():
            # A file that a later version has left out may be removed from the disk.
            missing = DIFFERENT if path in self._in_use(name) else GONE
            found = file_sha256(folder, path)
            yield _digest("data files", commit["id"], path, digest, found, missing)

    @cached_property
    def _newest(self) -> dt.datetime:
        return max(row["at"] for row in self._commits if row["at"])

    @cached_property
    def _files_in_use(self) -> dict[str, frozenset[str]]:
        return {}

    def _in_use(self, name: str) -> frozenset[str]:
        """The files of a table's newest version; none where it cannot be opened."""
        if name not in self._files_in_use:
            try:
                files = Snapshot(self.records.root).files(name)
            except StoreError:
                files = frozenset()
            self._files_in_use[name] = files
        return self._files_in_use[name]

    def _counts(self) -> Iterator[Check]:
        """Tables at the versions that something was made from: their rows, by the commits."""
        added: dict[str, list[tuple[int, int]]] = {}
        for row in self.records.rows("SELECT table_name, version, rows FROM gold.table_commit"):
            added.setdefault(row["table_name"], []).append((row["version"], row["rows"]))
        # Predictions need no version of their readings: each later one has these rows, too.
        sql = (
            f"SELECT from_id, BOOL_OR(relation <> '{HELD_BY_LATER}') AS is_needed "
            "FROM gold.lineage WHERE from_kind = 'table' GROUP BY from_id ORDER BY from_id"
        )
        for row in self.records.rows(sql):
            node = row["from_id"]
            name, version = node.split("@")[0], int(node.split("@")[1])
            own = [(at, rows) for at, rows in added.get(name, []) if at <= version]
            # Rows of partitions that are written anew do not add up; a lost commit tells nothing.
            is_whole = len(own) == version + 1 and not name.startswith("gold.")
            if self._is_asked(node) and is_whole:
                recorded = sum(rows for _, rows in own)
                yield self._counted(node, recorded, row["is_needed"])

    def _counted(self, node: str, recorded: int, is_needed: bool) -> Check:
        name, version = node.split("@", maxsplit=1)[0], int(node.split("@")[1])
        try:
            found = Snapshot(self.records.root).rows_at(name, version)
        except StoreError as error:
            may_go = not is_needed or self._is_old(name, version)
            state = GONE if may_go and self._was_let_go(name, version) else DIFFERENT
            return Check("row counts", node, state, str(error))
        words = "" if found == recorded else f"it has {found:,} rows, on record are {recorded:,}"
        return Check("row counts", node, DIFFERENT if words else SAME, words)

    def _was_let_go(self, name: str, version: int) -> bool:
        """Whether maintenance, or Delta itself, has let a version go: the log goes on without it.

        A log that lost a commit does not.
        """
        if name not in self._logs:
            self._logs[name] = Log.of(self._path(name))
        log = self._logs[name]
        return bool(log.files) and log.is_whole and log.base(version) is None

    @cached_property
    def _logs(self) -> dict[str, Log]:
        return {}

    def _is_old(self, name: str, version: int) -> bool:
        sql = (
            f"SELECT at FROM gold.table_commit WHERE table_name = '{name}' AND version = {version}"
        )
        times = [row["at"] for row in self.records.rows(sql) if row["at"]]
        return bool(times) and self._newest - times[0] > LOG_KEPT

    def _read(
        self, table: Table, version: int | None, columns: list[str], where: pc.Expression
    ) -> pa.Table:
        """Rows of an append-only table at a version; at the newest one where that may be gone: it
        has these rows, too.
        """
        root = self.records.root
        try:
            return read_at(root, table, version, columns, where)
        except StoreError:
            if version is None or not self._was_let_go(table.full_name, version):
                raise
            return read_at(root, table, None, columns, where)

    def _models(self) -> Iterator[Check]:
        """The model files of promoted versions, by the digest of their promotion."""
        admitted = ", ".join(f"'{action}'" for action in ADMITTED)
        sql = f"SELECT DISTINCT to_version FROM gold.promotion WHERE action IN ({admitted})"
        for version in sorted((row["to_version"] for row in self.records.rows(sql)), key=int):
            if not self._is_asked(f"model/{version}"):
                continue
            row = self._versions.promotion(version)
            try:
                found = hashlib.sha256(self._versions.artifact(row)).hexdigest()
            except RegistryError:
                found = None
            name, digest = f"model/{version}", str(row["model_sha256"])
            yield _digest("model files", name, "its file", digest, found, DIFFERENT)

    def _predictions(self, commit: Row) -> str:
        """What its versions predict for the readings of a micro-batch, read as they read them."""
        ledger = self._ledger_row(commit)
        numbers = filter(None, [ledger["model_version"], ledger.get("challenger_version")])
        versions = [self._versions.version(number) for number in numbers]
        rows = PlainRows(self.records.root, self.records.model)
        return differing_predictions(self._read, rows, commit, ledger, versions)

    def _ledger_row(self, commit: Row) -> Row:
        sql = (
            f"SELECT * FROM silver.scoring_ledger WHERE query_id = '{commit['query_id']}' "
            f"AND batch_id = {commit['batch_id']}"
        )
        found = self.records.rows(sql)
        if not found:
            raise StoreError(f"{commit['id']}: its micro-batch is not in silver.scoring_ledger")
        return found[0]

    def _windows(self) -> list[Row]:
        """The windows of all versions together: those that are asked for, or all."""
        if self.ids is None:
            copy_metrics(self.records, None)
        name = catalog_of(self.records.model).profile_metrics.full_name
        identity = self.records.model.metrics.model_id_column
        rows = self.records.rows(
            f"SELECT l.to_id AS window_id, p.* FROM gold.lineage AS l JOIN {name} AS p "
            "ON l.rows_from = p.window.start AND l.rows_to = p.window.`end` "
            f"WHERE l.relation = 'predictions of' AND p.{identity} = '*' AND p.slice_key IS NULL "
            "AND p.log_type = 'INPUT' AND p.column_name = ':table' ORDER BY window_id"
        )
        return [row for row in rows if self._is_asked(row["window_id"])]

    def _window(self, window: Row) -> str:
        """Rows, labels and accuracy of a window, from predictions and labels at its versions."""
        found = figures_of(self.records.root, self.records.model, window)
        recorded = {
            "rows": window["count"],
            "labelled": window["n_labelled"],
            "accuracy": window["accuracy_score"],
        }
        return "; ".join(
            f"{name} {found[name]:.12g}, on record {value:.12g}"
            for name, value in recorded.items()
            if value is not None and not np.isclose(found[name], value, rtol=CLOSE, atol=0)
        )


def as_lines(checks: Iterable[Check], of: str) -> tuple[list[str], bool]:
    """The account: how many of each kind are the same, then each difference; and whether all is."""
    counts: dict[str, dict[str, int]] = {}
    differences: dict[tuple[str, str], list[Check]] = {}
    for check in checks:
        states = counts.setdefault(check.what, {SAME: 0, DIFFERENT: 0, GONE: 0})
        states[check.state] += 1
        if check.state == DIFFERENT:
            reason = re.sub(r"\S+@\d+ ", "", check.words)
            differences.setdefault((check.what, reason), []).append(check)
    lines = [
        f"{what}: {states[SAME]:,} the same"
        + (f", {states[GONE]:,} gone" if states[GONE] else "")
        + (f", {states[DIFFERENT]:,} different" if states[DIFFERENT] else "")
        for what, states in counts.items()
    ]
    told = [_difference(own) for own in differences.values()]
    is_same = not told
    words = (
        "everything that can be read again is as on record" if is_same else "it is NOT as on record"
    )
    return [*lines, *told, f"{of}: {words}"], is_same


def _difference(checks: Sequence[Check]) -> str:
    """One line for all that differ for the same reason, such as one file of many versions."""
    first, last = checks[0], checks[-1]
    more = f" and {len(checks) - 1} more, up to {last.subject}" if len(checks) > 1 else ""
    return f"{DIFFERENT} {first.subject}{more}: {first.words}"


def _digest(
    what: str, subject: str, name: str, recorded: str | None, found: str | None, missing: str
) -> Check:
    """A comparison of digests; `missing` is the state of a file that is not there."""
    if recorded is None:
        return Check(what, subject, GONE, f"{name}: no digest of it is on record")
    if found is None:
        return Check(what, subject, missing, f"{name} is not there")
    if found == recorded:
        return Check(what, subject, SAME)
    words = f"{name} has sha256 {found[:12]}…, on record is {recorded[:12]}…"
    return Check(what, subject, DIFFERENT, words)
