"""The ledger of promotions: the version in production, and the record of each version."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import dropwhile
from typing import Any

import pyarrow.compute as pc
from sklearn.pipeline import Pipeline

from lakehouse.calendar import in_write_order
from lakehouse.errors import RegistryError
from lakehouse.models import Meaning, load, problem_of
from lakehouse.models.expected_error.expected_quality import AbsoluteErrors
from lakehouse.profiling.baseline import Baseline, from_document
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.partitions import since_moment
from lakehouse.storage.store import Row
from lakehouse.storage.training_record import ModelVersion, TrainingRecord
from lakehouse.versions.actions import ADMITTED, LOOP, MOVES, PENDING, VERDICTS

# By lakehouse, version and digest of its file: what is learned of other classes may give the same
# file.
_MEANINGS: dict[tuple[str, str, str], Meaning] = {}


class PromotionLedger:
    """The rows of `gold.promotion`, read once; what one step records is a part of them.

    Attributes:
        lakehouse: whose ledger it is.
        newest: the newest rows, in write order: from the first on that is as of `since` or later;
            all without it. What production is, and what waits, is told by them.
    """

    def __init__(self, lakehouse: Lakehouse, since: dt.datetime | None = None) -> None:
        """Read the newest rows."""
        self.lakehouse, self._since = lakehouse, since
        self.newest = self._read(since)

    @cached_property
    def rows(self) -> list[Row]:
        """All rows, in write order."""
        return self.newest if self._since is None else self._read(None)

    def _read(self, since: dt.datetime | None) -> list[Row]:
        where = None
        if since is not None:
            # A person may approve what has waited: a row that is written later than its as-of.
            where = since_moment("as_of", since) | (pc.field("who") != LOOP)
        rows = self.lakehouse.store.rows(self.lakehouse.catalog.promotion, where)
        ordered = sorted(rows, key=lambda row: row["recorded_at"])
        if since is None:
            return ordered
        return list(dropwhile(lambda row: row["as_of"] < since, ordered))

    def record(self, row: Mapping[str, Any]) -> None:
        """Append a row, with the wall-clock time of now, or of just after the newest row if the
        clock was set back. The caller holds the table's lock.
        """
        store, table = self.lakehouse.store, self.lakehouse.catalog.promotion
        written = (each["recorded_at"] for each in self.newest or self.rows)
        full = {"recorded_at": in_write_order(dt.datetime.now(dt.UTC), written), **row}
        store.append_rows([full], table)
        empty = dict.fromkeys(table.schema.names)
        self.newest.append({**empty, **full})
        for read in ("rows", "meanings"):
            self.__dict__.pop(read, None)

    @property
    def moves(self) -> list[Row]:
        """The newest rows that changed what is in production."""
        return [row for row in self.newest if row["action"] in MOVES]

    @property
    def champion(self) -> str | None:
        """The version in production; the alias follows it, and may have been moved by hand."""
        return str(self.moves[-1]["to_version"]) if self.moves else None

    @property
    def waiting(self) -> Row | None:
        """The newest verdict, if it is a challenger that waits for a person."""
        verdicts = [row for row in self.newest if row["action"] in VERDICTS]
        return verdicts[-1] if verdicts and verdicts[-1]["action"] == PENDING else None

    @property
    def promoted_versions(self) -> list[str]:
        """The versions that were ever promoted or rolled out, in the order in which they were."""
        return list(
            dict.fromkeys(row["to_version"] for row in self.rows if row["action"] in ADMITTED)
        )

    @property
    def trained_spans(self) -> dict[str, tuple[dt.datetime, dt.datetime]]:
        """For each promoted or rolled out version, event times of its first and last training
        row.
        """
        promoted = (row for row in self.rows if row["action"] in ADMITTED)
        return {row["to_version"]: (row["trained_from"], row["trained_to"]) for row in promoted}

    @property
    def policy_records(self) -> dict[str, str]:
        """Each promoted version's policy record, JSON, as its last promotion left it."""
        return {
            row["to_version"]: row["policy_record"] for row in self.rows if row["policy_record"]
        }

    def promotion_of(self, version: str) -> Row | None:
        """The last row that promoted the version or rolled it out; it may have come again."""
        for rows in (lambda: self.newest, lambda: self.rows):
            own = [
                row for row in rows() if row["to_version"] == version and row["action"] in ADMITTED
            ]
            if own:
                return own[-1]
        return None

    @cached_property
    def meanings(self) -> list[Meaning]:
        """What the promoted versions' classes and features are: each meaning once, that of the
        version that was first promoted last comes last.
        """
        rows: Sequence[Row] = self.newest
        if self._since is not None:
            table, columns = self.lakehouse.catalog.promotion, ["recorded_at", "to_version"]
            promoted = pc.field("action").isin(ADMITTED)
            rows = self.lakehouse.store.rows(table, promoted, [*columns, "action", "meaning"])
            rows = sorted(rows, key=lambda row: row["recorded_at"])
        admitted = (row for row in rows if row["action"] in ADMITTED)
        by_version = {row["to_version"]: row["meaning"] for row in admitted}
        # An older release kept none: such a version stands for itself.
        last = {text or version: (version, text) for version, text in reversed(by_version.items())}
        return [
            Meaning.from_json(text) if text else self.meaning(version)
            for version, text in reversed(last.values())
        ]

    def _files_of(self, version: str) -> ModelVersion:
        """Where the files of a version lie: as its promotion says, so MLflow need not be asked."""
        row = self.promotion_of(version)
        return version_of_row(row) if row and row["run_id"] else self.version(version)

    def version(self, version: str) -> ModelVersion:
        """Return what is on record of a version: in the registry, or if that has lost it, here.

        Raises:
            RegistryError: it is in neither.
        """
        try:
            return self.lakehouse.registry.version(version)
        except RegistryError:
            row = self.promotion_of(version)
            if row is None:
                raise
            return version_of_row(row)

    def sha256(self, version: str) -> str:
        """The digest recorded at the promotion: the lakehouse's, not the artifact store's.

        Raises:
            RegistryError: the version was never promoted here.
        """
        row = self.promotion_of(version)
        if row is None:
            name = self.lakehouse.model.name
            raise RegistryError(f"{name} version {version} was never promoted here; it is not used")
        return str(row["model_sha256"])

    def model_file(self, version: str) -> bytes:
        """The model file of a version; whoever loads it verifies its digest.

        Raises:
            RegistryError: it is not where it was; the message says what can be done.
        """
        try:
            return self.lakehouse.registry.model_file(self._files_of(version))
        except RegistryError as error:
            raise RegistryError(
                f"{error}; restore it, or go back to the version before by jobs/rollback.py"
            ) from error

    def load(self, version: str) -> Pipeline:
        """The model of a promoted version, its file verified by the recorded digest.

        Raises:
            RegistryError: it was never promoted, or its file is not the one that was.
        """
        pipeline = load(self.model_file(version), self.sha256(version))
        return self.meaning(version).check(
            pipeline, f"{self.lakehouse.model.name} version {version}"
        )

    def baseline(self, version: str) -> Baseline:
        """The profile of each column of the version's training data."""
        return from_document(self.lakehouse.registry.baseline(self._files_of(version)))

    def absolute_errors(self, version: str) -> AbsoluteErrors | None:
        """How far the version's numbers were off in cross-fitting, by error bin.

        None where it predicts classes, an older release trained it, or its file is gone.
        """
        kept = self.lakehouse.registry.absolute_errors(self._files_of(version))
        return None if kept is None else AbsoluteErrors.from_json(kept)

    def meaning(self, version: str) -> Meaning:
        """Return what the version's classes and features are, as of its training.

        Raises:
            RegistryError: an older release trained it, and its file is gone.
        """
        row = self.promotion_of(version)
        sha256 = str(row["model_sha256"]) if row else self.version(version).sha256
        key = (self.lakehouse.store.root, version, sha256)
        if key not in _MEANINGS:
            _MEANINGS[key] = self._meaning(version, row)
        return _MEANINGS[key]

    def _meaning(self, version: str, row: Row | None) -> Meaning:
        if row and row["meaning"]:
            return Meaning.from_json(row["meaning"])
        registered, registry = self._files_of(version), self.lakehouse.registry
        recorded = registry.meaning(registered)
        if recorded:
            return Meaning.from_json(recorded)
        pipeline = load(registry.model_file(registered), registered.sha256)
        return Meaning.of_older_release(pipeline, problem_of(self.lakehouse.model))


def version_of_row(row: Row) -> ModelVersion:
    """A version as its promotion tells it; how it did in cross-fitting is not known any more."""
    record = TrainingRecord(
        **{
            name: row[name]
            for name in ("as_of", "trained_from", "trained_to", "trained_rows", "changed_at")
        },
        since_change=0,
        judged=0,
        wrong=0,
        verdict="{}",
        table_versions=json.dumps(dict(row["table_versions"])),
    )
    return ModelVersion(
        str(row["to_version"]), row["run_id"] or "", str(row["model_sha256"]), record
    )
