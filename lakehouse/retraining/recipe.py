"""What a training is repeated from: rows at recorded versions, family, settings, seed.

Which of the rows it takes, and how much each counts, stands in the version's policy record: as a
rule (`RowRule`), not as a copy of the rows.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from lakehouse.models import TrainingSet, Trial
from lakehouse.models.expected_error.encoding import feature_of
from lakehouse.retraining.policy.document import PolicyRecord
from lakehouse.retraining.policy.records import RowRule, Rows

FORMAT = 1
_LIBRARIES = ("numpy", "scikit-learn", "scipy")


@dataclass(frozen=True)
class Recipe:
    """What a version was trained on and how, beside its policy record.

    Attributes:
        table_versions: Delta versions that the rows were read at, by table.
        rows_from: event time of the first row that was read.
        rows_read: labelled rows read, the newest ones; the rule takes a part of them.
        rows_sha256: digest of those rows: features, labels and weights, see `digest_of`.
        family: of the model.
        parameters: the point of the family's grid.
        seed: of what is random.
        libraries: releases that the model was fitted with.
    """

    table_versions: Mapping[str, int]
    rows_from: dt.datetime
    rows_read: int
    rows_sha256: str
    family: str
    parameters: Mapping[str, Any]
    seed: int
    libraries: Mapping[str, str]

    @property
    def trial(self) -> Trial:
        """The family at its point."""
        return Trial("", self.family, self.parameters)

    def to_json(self) -> str:
        """As it is kept."""
        fields = {**asdict(self), "rows_from": self.rows_from.isoformat()}
        return json.dumps({"format": FORMAT, **fields}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Recipe":
        """The inverse of `to_json`."""
        fields = json.loads(text)
        del fields["format"]
        return cls(**{**fields, "rows_from": dt.datetime.fromisoformat(fields["rows_from"])})


def libraries() -> dict[str, str]:
    """The releases that models are fitted with here."""
    return {name: version(name) for name in _LIBRARIES}


def digest_of(data: TrainingSet, weights: np.ndarray) -> str:
    """SHA-256 of the rows of a training, in their order: each feature, the targets, the weights."""
    digest = hashlib.sha256(json.dumps(data.features.names).encode())
    for name in data.features.names:
        digest.update(_bytes_of(data.rows[name]))
    for values in (data.targets, weights):
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def _bytes_of(column: pd.Series) -> bytes:
    """Numbers as they are in memory; text as JSON, which tells a missing one from an empty one."""
    if column.dtype == object:
        return json.dumps(column.tolist(), default=str).encode()
    return np.ascontiguousarray(column.to_numpy()).tobytes()


def weights_of(record: PolicyRecord, rows: Rows) -> np.ndarray:
    """The weight of each row in the fit that the record is of; zero where it takes none.

    The last stretch of its rule is that of the new rows. Each of them weighs `new_weight`, and each
    older row that the rule takes weighs one.
    """
    rule = record.version.row_rule
    is_new = RowRule(rule.segments[-1:]).mask(rows)
    return np.where(is_new, record.new_weight, rule.mask(rows).astype(float))


def features_of_rule(record: PolicyRecord) -> list[str]:
    """The features that the rule's regions are bounded by, beside those of the record."""
    sides = [
        name
        for segment in record.version.row_rule.segments
        for region in segment.without
        for name, _, _ in region.sides
    ]
    return list(dict.fromkeys(map(feature_of, sides)))
