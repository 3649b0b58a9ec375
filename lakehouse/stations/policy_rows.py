"""The labelled rows of a training under the policy."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lakehouse.estimators import TrainingSet, features_of, problem_of
from lakehouse.stations.evidence import Evidence
from lakehouse.stations.training import labelled_rows
from lakehouse.steps.policy.candidates import FOLDS
from lakehouse.steps.policy.decide import Decision
from lakehouse.steps.policy.encoding import feature_of
from lakehouse.steps.policy.evidence import Rows
from lakehouse.steps.policy.version import judged_rows


@dataclass(frozen=True)
class Training:
    """The labelled rows of a training.

    Attributes:
        evidence: of the decision.
        decision: that asked for it.
        labelled: rows with keys, times and labels, in order of time.
        rows: the same as the policy has them.
        versions: Delta versions that they were read at.
        judged: mask of the rows that candidates are compared on.
        calls: what the versions that candidates name call the rows.
    """

    evidence: Evidence
    decision: Decision
    labelled: pd.DataFrame
    rows: Rows
    versions: Mapping[str, int]
    judged: np.ndarray
    calls: dict[int, np.ndarray]

    @classmethod
    def of(cls, evidence: Evidence, decision: Decision) -> "Training":
        """The newest labelled rows, at the Delta versions of now."""
        lakehouse = evidence.lakehouse
        versions = lakehouse.store.versions(lakehouse.catalog.readings, lakehouse.catalog.labels)
        labelled = labelled_rows(lakehouse, versions, evidence.as_of, evidence.features)
        rows = evidence.rows_of(labelled)
        return cls(evidence, decision, labelled, rows, versions, judged_rows(decision, rows), {})

    @property
    def current(self) -> tuple[str, ...]:
        """The names among those of the rows that belong to features of the settings."""
        features = set(self.evidence.lakehouse.model.predictions.features)
        return tuple(name for name in self.rows.names if feature_of(name) in features)

    def data(self) -> TrainingSet:
        """The rows as families are fitted to them."""
        model = self.evidence.lakehouse.model
        features = features_of(model)
        return TrainingSet(
            features=features,
            problem=problem_of(model),
            rows=features.frame(self.labelled),
            targets=self.rows.codes,
            windows={},
            judged=self.judged,
            folds=FOLDS,
            seed=model.training.seed,
        )
