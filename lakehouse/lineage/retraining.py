"""A promoted version, trained again from what is on record of its training."""

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.errors import ConfigurationError, RegistryError, StoreError
from lakehouse.explain.rows import PlainRows
from lakehouse.explain.versions import PlainVersions, Version
from lakehouse.instants import ARROW_MOMENT, instants
from lakehouse.labels.label_batch import latest_labels
from lakehouse.labels.labelled_rows import LABEL_TIME
from lakehouse.models import Classification, TrainingSet, dump, fit_weighted
from lakehouse.models.expected_error.encoding import matrix_of
from lakehouse.retraining.policy.document import PolicyRecord
from lakehouse.retraining.policy.records import Rows
from lakehouse.retraining.recipe import Recipe, digest_of, features_of_rule, libraries, weights_of
from lakehouse.settings import EnvironmentSettings, ModelSettings
from lakehouse.storage.plain_tables import read_at
from lakehouse.tables import Table, catalog_of


@dataclass(frozen=True)
class Retrained:
    """A version beside what its record makes again.

    Attributes:
        number: of the version.
        recipe: what it was trained on and how.
        rows_sha256: digest of the rows as they are read now.
        rows: fitted rows.
        model_sha256: digest of the model file on record.
        sha256: digest of the file made again.
        equal: fitted rows for which both give the very same output.
        difference: greatest difference of two outputs.
        libraries: releases that it was fitted with now.
    """

    number: str
    recipe: Recipe
    rows_sha256: str
    rows: int
    model_sha256: str
    sha256: str
    equal: int
    difference: float
    libraries: Mapping[str, str]

    @property
    def is_same(self) -> bool:
        """Whether rows, outputs and file are those on record."""
        same_rows = self.rows_sha256 == self.recipe.rows_sha256
        return same_rows and self.equal == self.rows and self.sha256 == self.model_sha256


def retrained(
    root: str, model: ModelSettings, environment: EnvironmentSettings, number: str
) -> Retrained:
    """Train a promoted version again, and compare it with the one on record.

    Raises:
        ConfigurationError: an older release trained it, and kept no recipe.
        RegistryError: it was never promoted, or a file of it is gone or was changed.
        StoreError: its rows are gone; the message names the versions.
    """
    versions = PlainVersions(root, model, environment)
    recipe = _recipe(versions, number)
    version = versions.version(number)
    record = PolicyRecord.from_json(versions.artifact(version.promotion, "policy.json").decode())
    frame = _labelled_rows(root, model, version, recipe)
    data, weights = _training_set(root, model, version, recipe, record, frame)
    again = fit_weighted(recipe.trial, data, weights)
    taken = data.rows.loc[weights > 0]
    outputs = [data.problem.outputs(pipeline, taken) for pipeline in (version.pipeline, again)]
    apart = np.abs(outputs[0] - outputs[1]).reshape(len(taken), -1).max(axis=1, initial=0.0)
    return Retrained(
        number,
        recipe,
        digest_of(data, weights),
        len(taken),
        str(version.promotion["model_sha256"]),
        hashlib.sha256(dump(again)).hexdigest(),
        int((apart == 0).sum()),
        float(apart.max(initial=0.0)),
        libraries(),
    )


def as_lines(result: Retrained) -> list[str]:
    """What was read, fitted and compared, and whether it is the same."""
    recipe, number = result.recipe, result.number
    read = ", ".join(f"{name}@{version}" for name, version in recipe.table_versions.items())
    same_rows = result.rows_sha256 == recipe.rows_sha256
    settings = ", ".join(f"{name} {value}" for name, value in recipe.parameters.items())
    lines = [
        f"model/{number}: {recipe.family} ({settings}), seed {recipe.seed}",
        f"read: {recipe.rows_read:,} labelled rows from {recipe.rows_from:%Y-%m-%d %H:%M} on, "
        f"{read}; {_same(same_rows)} rows as on record (sha256 {result.rows_sha256[:12]}…)",
        f"fitted: {result.rows:,} of them",
        f"outputs: {result.equal:,} of {result.rows:,} rows the very same; greatest difference "
        f"{result.difference:.3g}",
        f"file: sha256 {result.sha256[:12]}…, on record {result.model_sha256[:12]}…: "
        f"{_same(result.sha256 == result.model_sha256)}",
    ]
    moved = [
        f"{name} {recipe.libraries.get(name)} then, {now} now"
        for name, now in result.libraries.items()
        if recipe.libraries.get(name) != now
    ]
    lines += [f"releases: {'; '.join(moved)}"] if moved else []
    words = "its record makes the same model" if result.is_same else "it is not the same model"
    return [*lines, f"model/{number}: {words}"]


def _same(is_same: bool) -> str:
    return "the same" if is_same else "NOT the same"


def _recipe(versions: PlainVersions, number: str) -> Recipe:
    row = versions.promotion(number)
    try:
        return Recipe.from_json(versions.artifact(row, "recipe.json").decode())
    except RegistryError:
        raise ConfigurationError(
            f"--retrain model/{number}: the release that trained it kept no recipe of its "
            "trainings (0.3 and later do); it cannot be trained again from its record"
        ) from None


def _labelled_rows(
    root: str, model: ModelSettings, version: Version, recipe: Recipe
) -> pd.DataFrame:
    """The labelled readings at the recorded versions, in order of event time and key."""
    catalog, key = catalog_of(model), model.key
    read, gone = {}, []
    for table, columns, where in (
        (catalog.readings, None, pc.field(model.event_time) >= _scalar(recipe.rows_from)),
        (catalog.labels, [key, model.labels.time, model.labels.label, *_ORDER], None),
    ):
        names = columns or [column.name for column in table.columns]
        try:
            read[table.full_name] = _read(root, table, recipe, names, where)
        except StoreError as error:
            gone.append(str(error))
    if gone:
        raise StoreError(f"model/{version.number} cannot be trained again: {'; '.join(gone)}")
    readings, labels = read[catalog.readings.full_name], read[catalog.labels.full_name]
    problem = version.meaning.problem
    retired = problem.retired if isinstance(problem, Classification) else ()
    dated = latest_labels(labels, model).to_pandas().rename(columns={model.labels.time: LABEL_TIME})
    dated = dated.loc[~dated[model.labels.label].isin(retired)]
    dated = dated[[key, LABEL_TIME, model.labels.label]]
    joined = readings.drop_columns(list(_ORDER)).to_pandas().merge(dated, on=key)
    ordered = joined.sort_values([model.event_time, key])
    return ordered.tail(recipe.rows_read).reset_index(drop=True)


_ORDER = ("landed_file_id", "line")


def _read(
    root: str, table: Table, recipe: Recipe, columns: list[str], where: pc.Expression | None
) -> pa.Table:
    return read_at(root, table, recipe.table_versions[table.full_name], columns, where)


def _training_set(
    root: str,
    model: ModelSettings,
    version: Version,
    recipe: Recipe,
    record: PolicyRecord,
    frame: pd.DataFrame,
) -> tuple[TrainingSet, np.ndarray]:
    """The rows as the family was fitted to them, and the weight of each."""
    meaning = version.meaning
    unknown = [name for name in features_of_rule(record) if name not in meaning.features.names]
    if unknown:
        raise ConfigurationError(
            f"--retrain model/{version.number}: rows were left out by {', '.join(unknown)}, which "
            "the version does not read; it cannot be trained again from its record"
        )
    features = PlainRows(root, model).features(version, frame)
    targets = np.asarray(meaning.problem.targets(frame[model.labels.label]))
    sides = (
        side[0]
        for segment in record.version.row_rule.segments
        for region in segment.without
        for side in region.sides
    )
    names = tuple(dict.fromkeys([*record.names, *sides]))
    matrix = matrix_of(pa.Table.from_pandas(features, preserve_index=False), names)
    made, told = instants(frame[model.event_time]), instants(frame[LABEL_TIME])
    rows = Rows(names, matrix, targets, made, told, meaning.problem)
    judged = np.ones(len(frame), dtype=bool)
    data = TrainingSet(meaning.features, meaning.problem, features, targets, judged, recipe.seed)
    return data, weights_of(record, rows)


def _scalar(moment: dt.datetime) -> pa.Scalar:
    return pa.scalar(moment, ARROW_MOMENT)


def number_of(text: str) -> str:
    """The version that a command line means: `model/6`, or `6`.

    Raises:
        ConfigurationError: it is no version.
    """
    number = text.removeprefix("model/")
    if not number.isdigit():
        raise ConfigurationError(f"--retrain {text}: write a version, such as model/6")
    return number
