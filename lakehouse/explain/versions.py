"""Promoted versions of a lakehouse that is not opened: which was when, and their verified files."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sklearn.pipeline import Pipeline

from lakehouse.errors import RegistryError
from lakehouse.models import Meaning, load, problem_of
from lakehouse.settings import EnvironmentSettings, ModelSettings
from lakehouse.storage.plain_tables import Row, read_rows
from lakehouse.tables import catalog_of
from lakehouse.versions.actions import ADMITTED, MOVES, VERDICTS

_MODEL_FILE = "model/model.skops"


@dataclass(frozen=True)
class Version:
    """A version that was promoted, or judged.

    Attributes:
        number: as in the ledger.
        pipeline: its model.
        meaning: its problem and features, as of its training.
        promotion: its last row of `gold.promotion` that promoted it; of one that is `judged`, its
            last verdict.
    """

    number: str
    pipeline: Pipeline
    meaning: Meaning
    promotion: Row


@dataclass(frozen=True)
class PlainVersions:
    """The versions of a lakehouse by its root, without Spark.

    Attributes:
        root: of the lakehouse.
        model: its settings.
        environment: where MLflow keeps files, if not under the root.
    """

    root: str
    model: ModelSettings
    environment: EnvironmentSettings

    @property
    def champion(self) -> str | None:
        """The version in production, by the ledger."""
        return str(self._moves[-1]["to_version"]) if self._moves else None

    @property
    def before(self) -> str | None:
        """The version that was in production before the champion; None for a first one."""
        return self._moves[-1]["from_version"] if self._moves else None

    def named(self, number: str | None, usual: str | None, purpose: str) -> str:
        """The version that somebody names, else the usual one.

        Args:
            number: that is named; None for none.
            usual: the version without a name; None before the first.
            purpose: what is to be done with it, such as `export`.

        Raises:
            RegistryError: none is named, and there is no usual one yet.
        """
        if number is None and usual is None:
            raise RegistryError(
                f"{self.model.name} has no version yet; there is nothing to {purpose}"
            )
        return str(number or usual)

    def version(self, number: str) -> Version:
        """A version with its model, the file verified by the digest of its promotion.

        Raises:
            RegistryError: it was never promoted here, or its file is gone or is another.
        """
        return self._loaded(number, self.promotion(number))

    def judged(self, number: str) -> Version:
        """A version that was judged here, promoted or not; see `version`.

        Raises:
            RegistryError: it was never judged here, or its file is gone or is another.
        """
        rows = [row for row in self._judged if row["to_version"] == number]
        if not rows:
            raise RegistryError(f"{self.model.name} version {number} was never judged here")
        return self._loaded(number, rows[-1])

    @property
    def judged_last(self) -> str | None:
        """The version with the newest verdict; None before the first."""
        return str(self._judged[-1]["to_version"]) if self._judged else None

    @property
    def _judged(self) -> list[Row]:
        """The verdicts on versions; a training that gave none has one, too."""
        return [row for row in self._rows if row["action"] in VERDICTS and row["to_version"]]

    def _loaded(self, number: str, row: Row) -> Version:
        pipeline = load(self.artifact(row), str(row["model_sha256"]))
        kept = row.get("meaning")
        older = problem_of(self.model)
        meaning = Meaning.from_json(kept) if kept else Meaning.of_older_release(pipeline, older)
        checked = meaning.check(pipeline, f"{self.model.name} version {number}")
        return Version(number, checked, meaning, row)

    def promotion(self, number: str) -> Row:
        """The last row of the ledger that promoted a version or rolled it out.

        Raises:
            RegistryError: it was never promoted here.
        """
        rows = (row for row in self._rows if row["to_version"] == number)
        own = [row for row in rows if row["action"] in ADMITTED]
        if not own:
            name = self.model.name
            raise RegistryError(f"{name} version {number} was never promoted here; it is not used")
        return own[-1]

    @cached_property
    def _rows(self) -> list[Row]:
        rows = read_rows(self.root, catalog_of(self.model).promotion)
        return sorted(rows, key=lambda row: row["recorded_at"])

    @property
    def _moves(self) -> list[Row]:
        return [row for row in self._rows if row["action"] in MOVES]

    def artifact(self, row: Row, name: str = _MODEL_FILE) -> bytes:
        """A file of a version's run: from this machine's artifacts, else from the MLflow server.

        Args:
            row: of `gold.promotion`.
            name: path of the file among those of the run; that of the model without it.

        Raises:
            RegistryError: it is not there.
        """
        if not row.get("run_id"):
            raise RegistryError(
                f"{self.model.name} version {row['to_version']}: its release recorded no run of "
                "the training, so its files cannot be found without MLflow"
            )
        artifacts = self.environment.artifact_location or f"{self.root}/mlflow/artifacts"
        run_folder = Path(artifacts.removeprefix("file://")) / str(row["run_id"])
        path = run_folder / "artifacts" / name
        if path.is_file():
            return path.read_bytes()
        if self.environment.tracking_uri is None:
            raise RegistryError(
                f"{self.model.name} version {row['to_version']}: {path} is not there; restore it, "
                "or name MLflow's place in the environment's file"
            )
        return self._artifact_of_server(row, name, artifacts)

    def _artifact_of_server(self, row: Row, name: str, artifacts: str) -> bytes:
        # Both take seconds to import, and are not needed where files are at hand.
        from lakehouse.storage.mlflow_place import Place
        from lakehouse.storage.registry import Registry
        from lakehouse.versions.ledger import version_of_row

        place = Place(str(self.environment.tracking_uri), artifacts)
        return Registry(self.model.name, place).artifact(version_of_row(row), name)
