"""One lakehouse: a model's settings, its tables, its registry, and where its lines land."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from lakehouse.settings import EnvironmentSettings, ModelSettings, SourceSettings
from lakehouse.storage.mlflow_place import Place
from lakehouse.storage.registry import Registry
from lakehouse.storage.store import Store
from lakehouse.tables import Catalog, Table


@dataclass(frozen=True)
class Source:
    """One kind of line on its way: its settings, its tables, and the column that names a row."""

    settings: SourceSettings
    bronze: Table
    silver: Table
    key: str
    takes_corrections: bool = False

    @property
    def name(self) -> str:
        """Of its tables, and of its folder under the landing folder."""
        return self.settings.table


@dataclass(frozen=True)
class Lakehouse:
    """What every step works on.

    Attributes:
        kept: what a step keeps from one micro-batch to the next, by its name. It is a cache: no
            value depends on it.
    """

    model: ModelSettings
    environment: EnvironmentSettings
    store: Store
    kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def spark(self) -> SparkSession:
        """The session that the tables are read with."""
        return self.store.spark

    @property
    def catalog(self) -> Catalog:
        """The tables, by the part that they play."""
        return self.store.catalog

    @property
    def sources(self) -> tuple[Source, ...]:
        """What features look at besides readings; readings; labels.

        They are taken in in this order: what a reading may see is in silver before it.
        """
        model, catalog = self.model, self.catalog
        others = zip(
            model.history.sources().items(), catalog.bronze_history, catalog.history, strict=True
        )
        return (
            *(
                Source(settings, bronze, silver, model.history.tables[name].key)
                for (name, settings), bronze, silver in others
            ),
            Source(model.readings, catalog.bronze_readings, catalog.readings, model.key),
            Source(
                model.labels,
                catalog.bronze_labels,
                catalog.labels,
                model.key,
                model.labels.corrections == "take",
            ),
        )

    @property
    def landing(self) -> str:
        """Where lines land: a folder for each source."""
        landing = self.environment.landing
        return absolute(landing) if landing else f"{self.store.root}/landing"

    @cached_property
    def registry(self) -> Registry:
        """The model registry; opened when it is first asked for, since that takes seconds."""
        folder, given = f"{self.store.root}/mlflow", self.environment
        place = Place(
            tracking_uri=given.tracking_uri or f"sqlite:///{folder}/mlflow.db",
            artifact_location=given.artifact_location or f"{folder}/artifacts",
            moves_as_one=given.tracking_uri is None and given.artifact_location is None,
        )
        versions = self.store.rows(self.catalog.promotion, columns=["to_version"])
        taken = max((int(row["to_version"]) for row in versions if row["to_version"]), default=0)
        return Registry(self.model.name, place, taken)


def absolute(place: str) -> str:
    """A path from the file system's root on, `~` being the home folder; a URI as it is."""
    # No system has a name with a NUL in it; in place of an error in its own words it is refused.
    named = place.replace("\0", "\ufffd")
    return named if "://" in named else str(Path(named).expanduser().resolve())
