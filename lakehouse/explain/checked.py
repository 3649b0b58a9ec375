"""A version tested again, promoted or not, beside what its verdict has on record; without Spark."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lakehouse.checks.check import Check
from lakehouse.checks.model_checks import Subject, model_checks
from lakehouse.explain.rows import PlainRows
from lakehouse.explain.versions import PlainVersions
from lakehouse.settings import EnvironmentSettings, ModelSettings

_MOST_ROWS = 2_000


@dataclass(frozen=True)
class Checked:
    """A version and its tests.

    Attributes:
        number: of the version.
        action: what its newest row of `gold.promotion` says.
        now: the tests of the model by itself, made now.
        on_record: those of its verdict; none by a release that made none.
    """

    number: str
    action: str
    now: tuple[Check, ...]
    on_record: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether all demanded tests pass; of those that need labelled rows, as on record."""
        names = {check.name for check in self.now}
        others = [check for check in self.on_record if check.name not in names]
        return all(check.passed or not check.demanded for check in (*self.now, *others))


def checked(
    root: str, model: ModelSettings, environment: EnvironmentSettings, number: str | None
) -> Checked:
    """Test a version; the one that was judged last where none is named.

    Raises:
        RegistryError: it was never judged here, or its file is gone or is another.
        StoreError: the rows of its training are gone.
    """
    versions = PlainVersions(root, model, environment)
    number = versions.named(number, versions.judged_last, "check")
    version = versions.judged(number)
    rows = PlainRows(root, model).background(version, _MOST_ROWS)
    features, problem = version.meaning.features, version.meaning.problem
    thousand = rows.iloc[np.arange(1_000) % len(rows)]
    began = time.perf_counter()
    problem.outputs(version.pipeline, thousand)
    milliseconds = 1_000 * (time.perf_counter() - began)
    subject = Subject(version.pipeline, features, problem, rows, milliseconds)
    kept = tuple(map(_check, version.promotion.get("checks") or ()))
    return Checked(number, version.promotion["action"], model_checks(subject, model), kept)


def as_lines(result: Checked, name: str) -> list[str]:
    """A line for each test, those made now first."""
    names = {check.name for check in result.now}
    others = [check for check in result.on_record if check.name not in names]
    lines = [f"{name} version {result.number}: {result.action}"]
    lines += [_line(check, "now") for check in result.now]
    lines += [_line(check, "at its verdict") for check in others]
    words = "every demanded test passes" if result.passed else "a demanded test fails"
    return [*lines, words]


def _line(check: Check, when: str) -> str:
    outcome = "ok" if check.passed else "FAILS"
    demanded = ", demanded" if check.demanded else ""
    return f"{outcome:<5}  {check.name:<11}  {check.reason} ({when}{demanded})"


def _check(kept: Mapping[str, Any]) -> Check:
    return Check(**kept)
