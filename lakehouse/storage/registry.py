"""MLflow: versions, records, files, and the aliases. None but it and its client use it."""

import datetime as dt
import hashlib
import json
import logging
import os
import sqlite3
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from lakehouse.errors import RegistryError, RegistryUnreachableError
from lakehouse.models import CrossFit, Failed, Trial, reproducible
from lakehouse.storage.mlflow_client import (
    Client,
    Sample,
    entities,
    make_tables,
    save_model,
    unreachable,
)
from lakehouse.storage.mlflow_place import Place
from lakehouse.storage.training_record import ModelVersion, TrainingRecord, as_tag

_LOG = logging.getLogger(__name__)
CHAMPION = "champion"
CHALLENGER = "challenger"
"""An alias that people alone read; nothing is decided by it."""
_MODEL_FILE = "model.skops"
_BASELINE_FILE = "baseline.json"
_POLICY_FILE = "policy.json"
_RECIPE_FILE = "recipe.json"
_MEANING_FILE = "meaning.json"
_ABSOLUTE_ERRORS_FILE = "absolute_errors.json"
_CANDIDATES_FILE = "candidates.json"


@dataclass(frozen=True)
class TrainingData:
    """Where the rows of a training came from: a Delta table at a version."""

    path: str
    version: int
    rows: int


class Registry:
    """One model's experiment, versions and alias on one MLflow server or SQLite file."""

    def __init__(self, model_name: str, place: Place, taken: int = 0) -> None:
        """Take the place; MLflow is not asked before something is wanted of it.

        Args:
            model_name: of the experiment, and of the registered model.
            place: where MLflow keeps them.
            taken: greatest number of a version that is in use. A registered model that was deleted
                would begin at 1 again, with numbers that predictions already carry.
        """
        logging.getLogger("alembic").setLevel(logging.WARNING)
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        self._name = model_name
        self._place, self._taken = place, taken
        self._experiment = ""

    @cached_property
    def _client(self) -> Client:
        """MLflow, with an experiment and a registered model, made where they are missing.

        Raises:
            RegistryUnreachableError: it does not answer.
        """
        uri = self._place.tracking_uri
        try:
            self._place.make(make_tables)
            client = Client(uri)
            self._experiment = self._experiment_id(client)
            if not client.search_registered_models(f"name = '{self._name}'"):
                client.create_registered_model(self._name)
        except (OSError, sqlite3.Error) as error:
            raise unreachable(error, uri) from error
        return client

    def champion(self) -> str | None:
        """The version behind the alias, or None."""
        return self._behind(CHAMPION)

    def promote(self, version: str) -> None:
        """Move the alias: one row in one transaction.

        Raises:
            RegistryError: there is no such version any more.
            RegistryUnreachableError: MLflow does not answer; the alias may have moved.
        """
        self._client.set_registered_model_alias(self._name, CHAMPION, version)

    def show_challenger(self, version: str | None) -> None:
        """Have the alias `challenger` name a version, or no version.

        Raises:
            RegistryError: there is no such version any more.
            RegistryUnreachableError: MLflow does not answer; the alias may have moved.
        """
        if self._behind(CHALLENGER) == version:
            return
        if version is None:
            self._client.delete_registered_model_alias(self._name, CHALLENGER)
        else:
            self._client.set_registered_model_alias(self._name, CHALLENGER, version)

    def _behind(self, alias: str) -> str | None:
        """The version that an alias names; None for none. MLflow may give it as a number."""
        aliases = self._client.get_registered_model(self._name).aliases
        return str(aliases[alias]) if alias in aliases else None

    def version(self, version: str) -> ModelVersion:
        """Return what is on record of a version.

        Raises:
            RegistryError: there is none of that number, or this application did not register it.
        """
        try:
            registered = self._client.get_model_version(self._name, version)
        except RegistryError as error:
            raise RegistryError(f"{self._name} has no version {version} in the registry") from error
        return self._from_tags(registered)

    def trained_as_of(self, as_of: dt.datetime, action: str) -> ModelVersion | None:
        """The version that this decision asked for, if a run that was cut off trained it."""
        versions = self._client.search_model_versions(
            f"name = '{self._name}' and tags.as_of = '{as_tag(as_of)}'"
        )
        # Older releases recorded no action: their versions count for any.
        fitting = [
            registered for registered in versions if registered.tags.get("action", action) == action
        ]
        return self._from_tags(fitting[0]) if fitting else None

    def table_versions(self) -> dict[str, dict[str, int]]:
        """The Delta versions that each registered version was trained at, by its number.

        Raises:
            RegistryUnreachableError: MLflow does not answer.
        """
        found: dict[str, dict[str, int]] = {}
        token: str | None = None
        while token != "":
            page = self._client.search_model_versions(
                f"name = '{self._name}'", page_token=token or None
            )
            for registered in page:
                read = registered.tags.get("table_versions")
                found[str(registered.version)] = json.loads(read) if read else {}
            token = page.token or ""
        return found

    def model_file(self, version: ModelVersion) -> bytes:
        """The version's model file, as it is in the store; whoever loads it verifies its digest."""
        return self.artifact(version, f"model/{_MODEL_FILE}")

    def baseline(self, version: ModelVersion) -> Any:
        """The profile of the version's training data."""
        return self._document(version, _BASELINE_FILE)

    def policy_record(self, version: ModelVersion) -> str:
        """Return what the retraining policy knows of the version since its training, as JSON."""
        return self.artifact(version, _POLICY_FILE).decode()

    def meaning(self, version: ModelVersion) -> str | None:
        """The version's classes and features, as JSON; None if an older release trained it."""
        try:
            return self.artifact(version, _MEANING_FILE).decode()
        except RegistryError:
            return None

    def log_policy_record(self, run_id: str, record: str) -> None:
        """Keep the policy's record with a training, before its version is registered."""
        self._client.log_text(run_id, record, _POLICY_FILE)

    def log_recipe(self, run_id: str, recipe: str) -> None:
        """Keep with a training what it is repeated from, as JSON."""
        self._client.log_text(run_id, recipe, _RECIPE_FILE)

    def log_absolute_errors(self, run_id: str, errors: Mapping[str, list[float]]) -> None:
        """Keep with a training how far its numbers were off, by error bin."""
        self._client.log_dict(run_id, dict(errors), _ABSOLUTE_ERRORS_FILE)

    def absolute_errors(self, version: ModelVersion) -> Any | None:
        """How far the version's numbers were off, by error bin; None where that is not kept."""
        try:
            return self._document(version, _ABSOLUTE_ERRORS_FILE)
        except RegistryError:
            return None

    def log_candidates(self, run_id: str, candidates: Sequence[Mapping[str, Any]]) -> None:
        """Keep with a training which rows it could have taken, and how well each choice did."""
        self._client.log_dict(run_id, list(candidates), _CANDIDATES_FILE)

    def log_training(
        self,
        name: str,
        data: TrainingData,
        results: Sequence[tuple[Trial, CrossFit | Failed]],
        sample: Sample,
    ) -> str:
        """Log a run for the training and one under it per trial; return the training's id."""
        parent = self._new_run(name, data, {}, sample)
        for trial, result in results:
            tags = {"mlflow.parentRunId": parent, "window": trial.window, "family": trial.family}
            failure = {"failure": result.reason} if isinstance(result, Failed) else {}
            run = self._new_run(trial.name, data, tags | failure, sample)
            values = {} if isinstance(result, Failed) else result.metrics
            metrics = [entities.Metric(key, value, _now_ms(), 0) for key, value in values.items()]
            parameters = {"window": trial.window, "family": trial.family, **trial.parameters}
            self._client.log_batch(
                run, metrics, [entities.Param(key, str(value)) for key, value in parameters.items()]
            )
            self._client.set_terminated(run, "FAILED" if failure else "FINISHED")
        self._client.set_terminated(parent)
        return parent

    def register(
        self,
        run_id: str,
        model: Any,
        record: TrainingRecord,
        baseline: Any,
        meaning: str,
        sample: Sample,
    ) -> ModelVersion:
        """Write the model to the training's run and register it as a new version.

        `baseline` is the profile of its training data, `meaning` its classes and features as JSON.
        """
        # Not by `log_model`: the file is made reproducible before it is logged and digested.
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "model"
            save_model(model, sample, target)
            content = reproducible((target / _MODEL_FILE).read_bytes())
            (target / _MODEL_FILE).write_bytes(content)
            self._client.log_artifacts(run_id, str(target), "model")
        self._client.log_dict(run_id, baseline, _BASELINE_FILE)
        self._client.log_text(run_id, meaning, _MEANING_FILE)
        sha256 = hashlib.sha256(content).hexdigest()
        tags = {**record.to_tags(), "sha256": sha256, **_history_tag(meaning)}
        created = (self._name, f"runs:/{run_id}/model", run_id, tags)
        version = self._client.create_model_version(*created).version
        # MLflow counts from 1 again where the registered model was deleted: numbers in use are
        # skipped, by versions that are deleted at once.
        while int(version) <= self._taken:
            self._client.delete_model_version(self._name, version)
            version = self._client.create_model_version(*created).version
        return ModelVersion(str(version), run_id, sha256, record)

    def _new_run(
        self, name: str, data: TrainingData, tags: Mapping[str, str], sample: Sample
    ) -> str:
        client = self._client  # it knows the experiment
        run = client.create_run(self._experiment, run_name=name).info.run_id
        commit = {"mlflow.source.git.commit": git_commit(), "delta_version": str(data.version)}
        all_tags = {**commit, **tags}
        self._client.log_batch(
            run, tags=[entities.RunTag(key, value) for key, value in all_tags.items()]
        )
        source = json.dumps({"path": data.path, "delta_table_version": data.version})
        # MLflow keeps no more characters of a data set's digest.
        digest = hashlib.sha256(source.encode()).hexdigest()[:36]
        dataset = entities.Dataset(
            Path(data.path).name,
            digest,
            "delta_table",
            source,
            profile=json.dumps({"num_rows": data.rows}),
        )
        self._client.log_inputs(
            run,
            [
                entities.DatasetInput(
                    dataset, [entities.InputTag("mlflow.data.context", "training")]
                )
            ],
        )
        self._client.log_dict(
            run, sample.rows.to_dict(orient="split", index=False), "input_example.json"
        )
        self._client.log_dict(run, sample.signature.to_dict(), "signature.json")
        return str(run)

    def _document(self, version: ModelVersion, path: str) -> Any:
        try:
            return json.loads(self.artifact(version, path))
        except (ValueError, RecursionError) as error:
            raise RegistryError(
                f"{self._name} version {version.version}: {path} was changed, it is no JSON; "
                "restore it"
            ) from error

    def artifact(self, version: ModelVersion, path: str) -> bytes:
        """A file of the version's run; read from this disk if MLflow has lost the run."""
        try:
            with tempfile.TemporaryDirectory() as folder:
                return Path(
                    self._client.download_artifacts(version.run_id, path, folder)
                ).read_bytes()
        except (RegistryError, RegistryUnreachableError, OSError) as error:
            run_folder = Path(self._place.artifact_location) / (version.run_id or "unknown run")
            on_disk = run_folder / "artifacts" / path
            if on_disk.is_file():
                return on_disk.read_bytes()
            if isinstance(error, RegistryUnreachableError):
                raise
            raise RegistryError(
                f"{self._name} version {version.version}: {path} is not in the artifact store"
            ) from error

    def _from_tags(self, registered: Any) -> ModelVersion:
        try:
            record = TrainingRecord.from_tags(registered.tags)
            return ModelVersion(
                str(registered.version), registered.run_id, registered.tags["sha256"], record
            )
        except KeyError as error:
            raise RegistryError(
                f"{self._name} version {registered.version} has no {error} on record; "
                "only versions that retrain_and_promote registered can be champion"
            ) from error

    def _experiment_id(self, client: Client) -> str:
        experiment = client.get_experiment_by_name(self._name)
        if experiment is None:
            return str(client.create_experiment(self._name, self._place.artifact_location))
        if experiment.lifecycle_stage == "deleted":
            _LOG.warning(
                "the experiment %s was deleted in MLflow; it is restored, since trainings need it",
                self._name,
            )
            client.restore_experiment(experiment.experiment_id)
        if (
            self._place.moves_as_one
            and experiment.artifact_location != self._place.artifact_location
        ):
            self._place.adopt(experiment.artifact_location)
        return str(experiment.experiment_id)


@cache
def git_commit() -> str:
    """The commit of the code that runs: from GIT_COMMIT, else from the checkout, else `unknown`."""
    if "GIT_COMMIT" in os.environ:
        return os.environ["GIT_COMMIT"]
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _now_ms() -> int:
    return int(dt.datetime.now(dt.UTC).timestamp() * 1000)


def _history_tag(meaning: str) -> dict[str, str]:
    """The digest of the definitions of features from earlier rows; nothing where it reads none."""
    definitions = json.loads(meaning).get("history")
    if not definitions:
        return {}
    text = json.dumps(definitions, sort_keys=True)
    return {"history_sha256": hashlib.sha256(text.encode()).hexdigest()}
