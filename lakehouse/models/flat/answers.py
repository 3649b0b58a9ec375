"""Which way a loaded model answers: the kernel where it pays, scikit-learn otherwise.

Both give the same outputs to the bit, so the choice is one of time alone.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from lakehouse.models.flat import kernel
from lakehouse.models.flat.model import FlatModel
from lakehouse.models.flat.reading import flattened
from lakehouse.models.newest import Newest
from lakehouse.models.problems import Problem
from lakehouse.models.trials import Features

ENOUGH_ROWS = 100_000
"""As many rows of one process pay for the kernel: it takes half a second to load, and saves a
second in each 300,000 to 900,000 rows. Spark hands rows over by the ten thousand, so a process
counts them; once it has the kernel, it uses it for every batch.
"""


@dataclass(frozen=True)
class Answering:
    """A loaded version: its pipeline, what it reads, and what it means."""

    pipeline: Pipeline
    features: Features
    problem: Problem

    def outputs(self, rows: pd.DataFrame) -> np.ndarray:
        """The outputs of rows that have the features, as `Problem.outputs` gives them."""
        frame = self.features.frame(rows)
        if kernel.is_installed() and _pays_for_kernel(len(frame)):
            flat = self._flat
            if flat is not None:
                return flat.outputs(frame.to_numpy())
        return self.problem.outputs(self.pipeline, frame)

    @cached_property
    def _flat(self) -> FlatModel | None:
        return flattened(self.pipeline, self.features, self.problem)


@dataclass
class _Rows:
    """How many rows this process has answered."""

    count: int = 0


_ROWS = _Rows()


def _pays_for_kernel(n_rows: int) -> bool:
    """Count more rows; return whether all of this process are enough for the kernel by now."""
    _ROWS.count += n_rows
    return kernel.is_loaded() or _ROWS.count >= ENOUGH_ROWS


_ANSWERING: Newest[tuple[str, Features, Problem], Answering] = Newest()


def answering(sha256: str, pipeline: Pipeline, features: Features, problem: Problem) -> Answering:
    """The version of this digest; a process flattens it once while it is among the newest."""
    key = sha256, features, problem
    return _ANSWERING.of(key, lambda: Answering(pipeline, features, problem))
