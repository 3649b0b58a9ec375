"""Rows to a version's answers, equal to the stream's to the bit. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from lakehouse.models import Classification, Features, Meaning, is_finite
from lakehouse.models.flat import FlatModel
from lakehouse.profiling.columns import text_of
from lakehouse.serving.bodies import Row
from lakehouse.settings import ModelSettings

_MOST_ROWS_BY_ROW = 20
"""Up to so many rows a walk row by row is quicker than scikit-learn on a frame (measured)."""


@dataclass(frozen=True)
class Answer:
    """What a version says of a row; nothing but its number where its output is not finite.

    Attributes:
        version: that answered.
        prediction: a class, or a number.
        score: as in the predictions table; None of a number.
        probability: of each class, by its text; None of a number.
    """

    version: str
    prediction: Any = None
    score: float | None = None
    probability: Mapping[str, float] | None = None


@dataclass(frozen=True)
class ServedVersion:
    """A version that answers.

    Attributes:
        number: as in the ledger.
        sha256: of its file.
        meaning: its problem and features.
        pipeline: its model.
        by_row: the same for single rows; None where there is none.
        model: the settings: columns of rows.
    """

    number: str
    sha256: str
    meaning: Meaning
    pipeline: Pipeline
    by_row: FlatModel | None
    model: ModelSettings

    def answers(self, rows: Sequence[Row]) -> list[Answer]:
        """The answers to rows of typed values."""
        outputs = self._outputs(rows)
        known = is_finite(outputs).tolist()
        columns = self.meaning.problem.columns(outputs)
        predictions = list(map(self._typed, columns["prediction"]))
        if not isinstance(self.meaning.problem, Classification):
            found = [Answer(self.number, prediction) for prediction in predictions]
        else:
            scores, parts = columns["score"].tolist(), outputs.tolist()
            found = [
                Answer(
                    self.number, prediction, score, dict(zip(self.class_names, part, strict=True))
                )
                for prediction, score, part in zip(predictions, scores, parts, strict=True)
            ]
        return [
            answer if is_known else Answer(self.number)
            for answer, is_known in zip(found, known, strict=True)
        ]

    @property
    def features(self) -> Features:
        """The columns that it reads."""
        return self.meaning.features

    def needs_a_frame(self, rows: int) -> bool:
        """Whether so many rows go through the pipeline, which takes milliseconds."""
        return self.by_row is None or rows > _MOST_ROWS_BY_ROW

    def _outputs(self, rows: Sequence[Row]) -> np.ndarray:
        if self.by_row is None or self.needs_a_frame(len(rows)):
            return self.meaning.problem.outputs(self.pipeline, self._frame(rows))
        names = self.features.names
        outputs = np.array(
            [self.by_row.output([self._value(row, name) for name in names]) for row in rows]
        )
        return outputs if self.class_names else outputs[:, 0]

    def _frame(self, rows: Sequence[Row]) -> pd.DataFrame:
        # Objects keep each value's own type until the features make doubles of it.
        columns = {
            name: pd.Series([self._value(row, name) for row in rows], dtype=object)
            for name in self.features.names
        }
        return self.features.frame(pd.DataFrame(columns))

    def _value(self, row: Row, feature: str) -> Any:
        """A feature's own column, or one that stands in its place in a line."""
        for column in self._sources[feature]:
            value = row.get(column)
            if value is not None:
                return value
        return None

    @cached_property
    def _sources(self) -> dict[str, list[str]]:
        readings = self.model.readings
        sources = {}
        for name in self.features.names:
            path = self.meaning.paths.get(name, (name,))
            others = [each for each in readings.columns if readings.path_of(each) == path]
            own = [name] if name in readings.columns else []
            sources[name] = list(dict.fromkeys([*own, *others]))
        return sources

    @cached_property
    def class_names(self) -> list[str]:
        """The classes in words, by their codes; none of a number."""
        problem = self.meaning.problem
        return list(map(text_of, problem.classes if isinstance(problem, Classification) else ()))

    def _typed(self, prediction: Any) -> Any:
        """The prediction in the type of its column: classes may be written as whole numbers."""
        return float(prediction) if prediction_type(self.model) == "double" else prediction


def prediction_type(model: ModelSettings) -> str:
    """The type of a prediction, as the settings name types of columns."""
    labels = model.labels
    return "double" if model.is_regression else labels.columns[labels.label].type
