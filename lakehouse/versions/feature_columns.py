"""The columns that versions read: by name, or if renamed, by their place in a line."""

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakehouse.models import Features, Meaning, features_of
from lakehouse.tables import Table
from lakehouse.versions.ledger import PromotionLedger

Paths = Mapping[str, tuple[str, ...]]


def features_read(ledger: PromotionLedger, versions: Iterable[str]) -> Features:
    """The features of the settings, then those that the versions read besides."""
    every = [
        features_of(ledger.lakehouse.model),
        *(ledger.meaning(version).features for version in versions),
    ]
    numeric = tuple(dict.fromkeys(name for features in every for name in features.numeric))
    categorical = dict.fromkeys(
        name for features in every for name in features.categorical if name not in numeric
    )
    return Features(numeric, tuple(categorical))


def sources_of(ledger: PromotionLedger, table: Table, names: Iterable[str]) -> dict[str, list[str]]:
    """For each feature, the table's columns that hold its values, its own name first."""
    columns, paths = ledger.lakehouse.store.columns(table), _paths(ledger)
    return {
        name: [
            *([name] if name in columns else []),
            *(
                other
                for other in columns
                if other != name and paths.get(other, (other,)) == paths.get(name, (name,))
            ),
        ]
        for name in names
    }


def with_features(
    rows: DataFrame, sources: Mapping[str, Sequence[str]], others: Sequence[str]
) -> DataFrame:
    """The other columns, and each feature from its sources; null where it has none."""
    return rows.select(
        *others,
        *(_column(name, columns) for name, columns in sources.items() if name not in others),
    )


def _column(name: str, sources: Sequence[str]) -> Column:
    return (F.coalesce(*sources) if sources else F.lit(None).cast("double")).alias(name)


def joined_columns(
    rows: pa.Table, sources: Mapping[str, Sequence[str]], others: Sequence[str]
) -> pa.Table:
    """The same of an Arrow table that has the other columns and all sources."""
    columns = {name: rows[name] for name in others}
    for name, names in sources.items():
        if name not in columns:
            values = [rows[source] for source in names]
            columns[name] = reduce(pc.coalesce, values) if values else pa.nulls(len(rows))
    return pa.table(columns)


def unknown_to_settings(ledger: PromotionLedger, meaning: Meaning) -> list[str]:
    """The features of a version whose values come in no column of the settings any more."""
    model, paths = ledger.lakehouse.model, _paths(ledger)
    declared = {name: model.readings.path_of(name) for name in model.readings.columns}
    return [
        name
        for name in meaning.features.names
        if name not in declared and paths[name] not in declared.values()
    ]


def _paths(ledger: PromotionLedger) -> dict[str, tuple[str, ...]]:
    """Each column's place in a line: by the settings, else by the version that has read it."""
    model = ledger.lakehouse.model
    paths: dict[str, tuple[str, ...]] = {}
    for meaning in ledger.meanings:
        paths |= meaning.paths
    return paths | {name: model.readings.path_of(name) for name in model.readings.columns}
