"""Which version answers: the champion of the ledger, verified, followed while requests come in."""

import logging
import threading
from dataclasses import dataclass
from typing import Any

from lakehouse.errors import LakehouseError, RegistryError, words_of
from lakehouse.explain.versions import PlainVersions
from lakehouse.models.flat import flattened
from lakehouse.serving.answers import ServedVersion
from lakehouse.serving.bodies import Row
from lakehouse.settings import EnvironmentSettings, ModelSettings
from lakehouse.storage.plain_tables import table_version
from lakehouse.tables import catalog_of

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Refusal:
    """A version that may not answer.

    Attributes:
        version: its number; None where the ledger names none, or cannot be read.
        reason: why, in a sentence.
    """

    version: str | None
    reason: str


class Champions:
    """The version in production, and the word on one that was refused.

    Attributes:
        current: the version that answers; None before the first. A look puts another one there by
            one assignment, so a request that has taken it finishes with it.
        refusal: why the ledger's newest version does not answer; None where it does.
        swaps: how often another version has taken over since the first.
    """

    def __init__(self, root: str, model: ModelSettings, environment: EnvironmentSettings) -> None:
        """Load nothing yet."""
        self._root, self._model, self._environment = root, model, environment
        self._looked_at: int | None = None
        self.current: ServedVersion | None = None
        self.refusal: Refusal | None = Refusal(None, "no version was loaded yet")
        self.swaps = 0

    def version_for(self, key: Any) -> ServedVersion | None:
        """The version that answers for a key (None: the row has none); None where none can.

        Today the champion answers for every key. A running rollout decides here, by the key.
        """
        return self.current

    def look(self) -> None:
        """Follow the ledger: load, verify and warm its champion if that is another one.

        Never raises: what is refused leaves the version before in its place, and is tried again at
        the next look.
        """
        try:
            self._follow()
        except LakehouseError as error:
            self._refuse(Refusal(None, str(error)))
        except Exception as error:  # the endpoint goes on, whatever a library raises
            self._refuse(Refusal(None, f"{type(error).__name__}: {words_of(error)}"))

    def _follow(self) -> None:
        written = table_version(self._root, catalog_of(self._model).promotion)
        if written == self._looked_at and self.refusal is None:
            return
        versions = PlainVersions(self._root, self._model, self._environment)
        number = versions.champion
        if number is None:
            self._refuse(Refusal(None, f"{self._model.name} has no champion yet"))
            return
        try:
            sha256 = str(versions.promotion(number)["model_sha256"])
            if self.current is None or (self.current.number, self.current.sha256) != (
                number,
                sha256,
            ):
                self._take(self._loaded(versions, number, sha256))
        except RegistryError as error:
            self._refuse(Refusal(number, str(error)))
            return
        self._looked_at, self.refusal = written, None

    def _loaded(self, versions: PlainVersions, number: str, sha256: str) -> ServedVersion:
        """A version, its file verified by the digest of its promotion, and warm.

        Raises:
            RegistryError: it was never promoted here, or its file or its kind is another.
        """
        version = versions.version(number)
        other = version.meaning.other_kind(self._model)
        if other:
            raise RegistryError(f"{self._model.name} version {number} cannot answer: {other}")
        meaning = version.meaning
        by_row = flattened(version.pipeline, meaning.features, meaning.problem)
        served = ServedVersion(
            number, sha256, version.meaning, version.pipeline, by_row, self._model
        )
        nothing: list[Row] = [{}]
        for rows in (nothing, nothing * 100):  # what is slow at first is slow now: row and frame
            served.answers(rows)
        return served

    def _take(self, version: ServedVersion) -> None:
        before, self.current = self.current, version
        self.swaps += before is not None
        _LOG.info("version %s answers", version.number)

    def _refuse(self, refusal: Refusal) -> None:
        if refusal != self.refusal:
            _LOG.warning("%s; the version before goes on", refusal.reason)
        self.refusal = refusal


class Watcher:
    """Looks again and again in a thread of its own, until it is stopped."""

    def __init__(self, seconds: float, *steps: Any) -> None:
        """Take what is to be done, and how often."""
        self._seconds, self._steps, self._ended = seconds, steps, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin, after the first interval."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the step that is being done."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._seconds):
            for step in self._steps:
                try:
                    step()
                except Exception as error:
                    _LOG.warning("%s: %s", type(error).__name__, words_of(error))
