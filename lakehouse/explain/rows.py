"""Rows of a lakehouse that is not opened: a reading, and the rows that a version was trained on."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.compute import Expression

from lakehouse.errors import ConfigurationError, StoreError
from lakehouse.explain.versions import Version
from lakehouse.instants import ARROW_MOMENT, instant
from lakehouse.retraining.policy.document import PolicyRecord
from lakehouse.settings import ModelSettings
from lakehouse.storage.plain_tables import Row, read_rows
from lakehouse.tables import catalog_of

BACKGROUND = 500
"""Rows at most that a version's mean prediction and quantiles are taken from."""


@dataclass(frozen=True)
class PlainRows:
    """Silver's rows by the lakehouse's root.

    Attributes:
        root: of the lakehouse.
        model: its settings.
    """

    root: str
    model: ModelSettings

    def key(self, text: str) -> int | str:
        """The key that a command line means.

        Raises:
            ConfigurationError: keys are whole numbers, and this is none.
        """
        if self.model.readings.columns[self.model.key].type == "string":
            return text
        try:
            return int(text)
        except ValueError:
            raise ConfigurationError(
                f"--key {text}: write a whole number, as {self.model.key} is"
            ) from None

    def reading(self, key: int | str) -> Row:
        """The valid reading of a key.

        Raises:
            ConfigurationError: there is none.
        """
        rows = read_rows(self.root, catalog_of(self.model).readings, where=self._is(key))
        if not rows:
            raise ConfigurationError(
                f"--key {key}: no valid reading has this {self.model.key}; write another one, or "
                "look for its line in silver.quarantine"
            )
        return rows[0]

    def prediction(self, key: int | str) -> Row | None:
        """The production prediction of a key; None where there is none."""
        rows = read_rows(self.root, catalog_of(self.model).predictions, where=self._is(key))
        return rows[0] if rows else None

    def label(self, key: int | str) -> Row | None:
        """The label in force of a key: of several, the one told last."""
        rows = read_rows(self.root, catalog_of(self.model).labels, where=self._is(key))
        order = (self.model.labels.time, "landed_file_id", "line")
        # An older release recorded no landed file: such a label came first.
        return max(
            rows,
            key=lambda row: [(row.get(name) is not None, row.get(name)) for name in order],
            default=None,
        )

    def background(self, version: Version, most: int = BACKGROUND) -> pd.DataFrame:
        """Rows of the version's baseline, as its model takes them.

        The baseline on record has each column by itself; Shapley values need whole rows. So these
        are the rows that the baseline was made of, read again: see `baseline_rows`. Of more than
        `most`, every so-many-th in order of event time and key is taken. Each counts the same,
        though a training may have given newer ones more weight.

        Raises:
            StoreError: the tables have no such rows any more.
        """
        rows = self.baseline_rows(version)
        if not rows:
            raise StoreError(
                f"version {version.number}: none of the labelled readings that it was trained on "
                "is in silver any more; it cannot be explained"
            )
        places = np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(int)
        return self.features(version, [rows[place] for place in places])

    def baseline_rows(self, version: Version) -> list[Row]:
        """The readings that the version's baseline was made of, in order of event time and key.

        They are silver's readings in the stretches of time that the promotion's policy record
        names, between `trained_from` and `trained_to`, with a label told by its `as_of`. As in the
        baseline, rows that later ones contradict are among them; but not those before the first
        row that was fitted, or after the last.
        """
        promotion, model = version.promotion, self.model
        told = _within(model.labels.time, promotion["trained_from"], promotion["as_of"])
        labels = read_rows(self.root, catalog_of(model).labels, [model.key], told)
        columns = [model.key, model.event_time, *self._sources(version)]
        made = _within(model.event_time, promotion["trained_from"], promotion["trained_to"])
        rows = read_rows(self.root, catalog_of(model).readings, columns, made)
        labelled = {row[model.key] for row in labels}
        taken = _in_stretches(promotion.get("policy_record"), model.event_time)
        rows = [row for row in rows if row[model.key] in labelled and taken(row)]
        return sorted(rows, key=lambda row: (row[model.event_time], row[model.key]))

    def features(self, version: Version, rows: Sequence[Row] | pd.DataFrame) -> pd.DataFrame:
        """The version's features of readings; one that was renamed by its place in a line."""
        frame = rows.copy() if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
        for name in version.meaning.features.names:
            sources = [each for each in self._sources_of(version, name) if each in frame]
            for source in sources:
                frame[name] = frame[name].fillna(frame[source]) if name in frame else frame[source]
        return version.meaning.features.frame(frame)

    def _sources(self, version: Version) -> list[str]:
        names = version.meaning.features.names
        each = (name for feature in names for name in self._sources_of(version, feature))
        return list(dict.fromkeys(each))

    def _sources_of(self, version: Version, name: str) -> Iterable[str]:
        """A feature's own column, and those of the settings that stand in its place in a line."""
        path, readings = version.meaning.paths[name], self.model.readings
        others = [each for each in readings.columns if readings.path_of(each) == path]
        return dict.fromkeys([name, *others])

    def _is(self, key: int | str) -> Expression:
        return pc.field(self.model.key) == key


def _within(column: str, first: Any, last: Any) -> Expression:
    """From a moment to another, both included; an older release recorded no first one."""
    where = pc.field(column) <= pa.scalar(last, ARROW_MOMENT)
    return where if first is None else where & (pc.field(column) >= pa.scalar(first, ARROW_MOMENT))


def _in_stretches(policy_record: str | None, event_time: str) -> Callable[[Row], bool]:
    """Whether a row lies in a version's stretches of time; an older release recorded none."""
    if not policy_record:
        return lambda row: True
    segments = PolicyRecord.from_json(policy_record).version.row_rule.segments

    def is_taken(row: Row) -> bool:
        made = instant(row[event_time])
        return any(
            (each.start is None or made >= each.start) and (each.end is None or made < each.end)
            for each in segments
        )

    return is_taken
