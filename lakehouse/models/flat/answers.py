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

ENOUGH_ROWS = 50_000
"""A batch that pays for the kernel: it takes half a second to load, and saves as much in 300,000
rows. A process that has it uses it for every batch.
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
        if kernel.is_installed() and (kernel.is_loaded() or len(frame) >= ENOUGH_ROWS):
            flat = self._flat
            if flat is not None:
                return flat.outputs(frame.to_numpy())
        return self.problem.outputs(self.pipeline, frame)

    @cached_property
    def _flat(self) -> FlatModel | None:
        return flattened(self.pipeline, self.features, self.problem)


_ANSWERING: Newest[tuple[str, Features, Problem], Answering] = Newest()


def answering(sha256: str, pipeline: Pipeline, features: Features, problem: Problem) -> Answering:
    """The version of this digest; a process flattens it once while it is among the newest."""
    key = sha256, features, problem
    return _ANSWERING.of(key, lambda: Answering(pipeline, features, problem))
