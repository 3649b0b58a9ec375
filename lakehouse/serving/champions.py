"""Which versions answer: those that the ledgers name, verified, followed while requests come in."""

import logging
import threading
from dataclasses import dataclass, replace
from typing import Any

from lakehouse.errors import LakehouseError, RegistryError, words_of
from lakehouse.explain.versions import PlainVersions
from lakehouse.models.flat import flattened
from lakehouse.models.newest import Newest
from lakehouse.rollouts.state import Rollout, running
from lakehouse.serving.answers import ServedVersion
from lakehouse.serving.arms import Arms
from lakehouse.serving.bodies import Row
from lakehouse.settings import EnvironmentSettings, ModelSettings
from lakehouse.storage.plain_tables import has_table, read_rows, table_version
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
    """The versions that answer, and the word on one that was refused.

    Attributes:
        arms: the versions that answer; None before the first. A look puts others there by one
            assignment, so a request that has taken them finishes with them.
        refusal: why the ledger's newest version does not answer; None where it does.
        challenger_refusal: why the version that is rolled out does not answer; None where it does,
            and where none has a share.
        swaps: how often another version has taken over since the first.
    """

    def __init__(self, root: str, model: ModelSettings, environment: EnvironmentSettings) -> None:
        """Load nothing yet."""
        self._root, self._model, self._environment = root, model, environment
        self._looked_at: tuple[int, int | None] | None = None
        self.arms: Arms | None = None
        self.refusal: Refusal | None = Refusal(None, "no version was loaded yet")
        self.challenger_refusal: Refusal | None = None
        self.swaps = 0
        # A challenger answers no key between its rollout's end and its promotion.
        self._kept: Newest[tuple[str, str], ServedVersion] = Newest()

    @property
    def current(self) -> ServedVersion | None:
        """The champion; None before the first."""
        return self.arms.champion if self.arms else None

    def look(self) -> None:
        """Follow the ledgers: load, verify and warm what they name, if it is not there yet.

        Never raises: a champion that is refused leaves the version before in its place, a
        challenger that is refused leaves its keys to the champion. Both are tried again at the next
        look.
        """
        try:
            self._follow()
        except Exception as error:  # the endpoint goes on, whatever a library raises
            self._refuse(Refusal(None, _reason_of(error)))

    def _follow(self) -> None:
        written = self._versions_of_ledgers()
        if written == self._looked_at and not (self.refusal or self.challenger_refusal):
            return
        # Before the promotions: each step of a rollout stands in both when they are read.
        rollout, refusal = self._running_rollout()
        versions = PlainVersions(self._root, self._model, self._environment)
        number = versions.champion
        if number is None:
            self._refuse(Refusal(None, f"{self._model.name} has no champion yet"))
            return
        try:
            champion = self._verified(versions, number)
        except Exception as error:
            self._refuse(Refusal(number, _reason_of(error)))
            if self.current is not None:
                # The version before is not what a rollout is compared with.
                self._take(Arms(self.current), None)
            return
        self._take(*self._with_challenger(versions, Arms(champion, None, rollout), refusal))
        self._looked_at, self.refusal = written, None

    def _versions_of_ledgers(self) -> tuple[int, int | None]:
        """The Delta versions of promotions and rollouts; None of those that cannot be read."""
        catalog = catalog_of(self._model)
        promotions = table_version(self._root, catalog.promotion)
        try:
            return promotions, table_version(self._root, catalog.rollout)
        except Exception:  # whoever reads it says why
            return promotions, None

    def _running_rollout(self) -> tuple[Rollout | None, Refusal | None]:
        """The rollout that runs; and why it is not known, where the ledger cannot be read."""
        table = catalog_of(self._model).rollout
        try:
            rows = read_rows(self._root, table) if has_table(self._root, table) else []
            return running(rows), None
        except Exception as error:
            return None, Refusal(None, _reason_of(error))

    def _with_challenger(
        self, versions: PlainVersions, arms: Arms, refusal: Refusal | None
    ) -> tuple[Arms, Refusal | None]:
        """The arms with a challenger that is verified, and why there is none.

        A rollout against another champion, and one that gives the challenger no key, have no arms.
        """
        champion, rollout = arms.champion, arms.rollout
        if rollout is None or rollout.champion != champion.number or not rollout.share:
            return Arms(champion), refusal
        number = rollout.challenger
        try:
            challenger = self._verified(versions, number)
            if challenger.sha256 != rollout.challenger_sha256:
                raise RegistryError(
                    f"{self._model.name} version {number}: gold.rollout has another SHA-256 than "
                    "gold.promotion; abort the rollout"
                )
            return replace(arms, challenger=challenger), None
        except Exception as error:
            return arms, Refusal(number, _reason_of(error))

    def _verified(self, versions: PlainVersions, number: str) -> ServedVersion:
        """A version whose file is the one that its promotion recorded; loaded once.

        Raises:
            RegistryError: it was never promoted here, or its file or its kind is another.
        """
        sha256 = str(versions.promotion(number)["model_sha256"])
        return self._kept.of((number, sha256), lambda: self._loaded(versions, number, sha256))

    def _loaded(self, versions: PlainVersions, number: str, sha256: str) -> ServedVersion:
        """A version, its file verified by the digest of its promotion, and warm.

        Raises:
            RegistryError: its file or its kind is another.
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

    def _take(self, arms: Arms, challenger_refusal: Refusal | None) -> None:
        before, self.arms = self.arms, arms
        is_other = before is None or before.champion is not arms.champion
        self.swaps += before is not None and is_other
        if is_other:
            _LOG.info("version %s answers", arms.champion.number)
        if arms.rollout is not None and (before is None or before.rollout != arms.rollout):
            told = arms.rollout.challenger, arms.rollout.share
            _LOG.info("version %s is rolled out to a share of %g of the keys", *told)
        if challenger_refusal and challenger_refusal != self.challenger_refusal:
            _LOG.warning("%s; the champion answers all keys", challenger_refusal.reason)
        self.challenger_refusal = challenger_refusal

    def _refuse(self, refusal: Refusal) -> None:
        if refusal != self.refusal:
            _LOG.warning("%s; the version before goes on", refusal.reason)
        self.refusal = refusal


def _reason_of(error: Exception) -> str:
    if isinstance(error, LakehouseError):
        return str(error)
    return f"{type(error).__name__}: {words_of(error)}"


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
