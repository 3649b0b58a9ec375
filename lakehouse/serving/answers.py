"""Rows to a version's answers, equal to the stream's to the bit, and to the two protocols. Pure."""

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
from lakehouse.serving.refusals import RefusedRequestError
from lakehouse.settings import ModelSettings

_MOST_ROWS_BY_ROW = 20
"""Up to so many rows a walk row by row is quicker than scikit-learn on a frame (measured)."""
_TENSOR_TYPES = {
    "double": "FP64",
    "long": "INT64",
    "integer": "INT32",
    "boolean": "BOOL",
    "string": "BYTES",
    "timestamp": "BYTES",
}


@dataclass(frozen=True)
class Answer:
    """What a version says of a row; all None where its output is not finite.

    Attributes:
        prediction: a class, or a number.
        score: as in the predictions table; None of a number.
        probability: of each class, by its text; None of a number.
    """

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
            found = [Answer(prediction) for prediction in predictions]
        else:
            scores, parts = columns["score"].tolist(), outputs.tolist()
            found = [
                Answer(prediction, score, dict(zip(self._class_names, part, strict=True)))
                for prediction, score, part in zip(predictions, scores, parts, strict=True)
            ]
        return [
            answer if is_known else Answer() for answer, is_known in zip(found, known, strict=True)
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
        return outputs if self._class_names else outputs[:, 0]

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
    def _class_names(self) -> list[str]:
        problem = self.meaning.problem
        return list(map(text_of, problem.classes if isinstance(problem, Classification) else ()))

    def _typed(self, prediction: Any) -> Any:
        """The prediction in the type of its column: classes may be written as whole numbers."""
        return float(prediction) if self._output_type == "double" else prediction

    @property
    def _output_type(self) -> str:
        labels = self.model.labels
        return "double" if self.model.is_regression else labels.columns[labels.label].type

    def tensors(self) -> dict[str, list[dict[str, Any]]]:
        """The inputs and outputs of the V2 protocol's metadata."""
        columns = self.model.readings.columns
        inputs = [
            {"name": name, "datatype": _TENSOR_TYPES[columns[name].type], "shape": [-1]}
            for name in self.model.predictions.features
        ]
        outputs = [
            {"name": name, "datatype": datatype, "shape": [-1, *width]}
            for name, (datatype, width) in self._output_tensors.items()
        ]
        return {"inputs": inputs, "outputs": outputs}

    @cached_property
    def _output_tensors(self) -> dict[str, tuple[str, list[int]]]:
        """Datatype and width of each output."""
        tensors: dict[str, tuple[str, list[int]]] = {
            "prediction": (_TENSOR_TYPES[self._output_type], [])
        }
        if self._class_names:
            tensors |= {"score": ("FP64", []), "probability": ("FP64", [len(self._class_names)])}
        return tensors

    def as_tensors(
        self, answers: Sequence[Answer], outputs: Sequence[str], request_id: str | None
    ) -> dict[str, Any]:
        """The answer to a request of the V2 protocol.

        Raises:
            RefusedRequestError: it asks for an output that there is none of.
        """
        strange = [name for name in outputs if name not in self._output_tensors]
        if strange:
            known = ", ".join(self._output_tensors)
            raise RefusedRequestError(f"outputs: write names among {known}")
        tensors = [
            {
                "name": name,
                "shape": [len(answers), *width],
                "datatype": datatype,
                "data": _data_of(name, answers),
            }
            for name, (datatype, width) in self._output_tensors.items()
            if not outputs or name in outputs
        ]
        document = {"model_name": self.model.name, "model_version": self.number}
        return document | ({"id": request_id} if request_id else {}) | {"outputs": tensors}

    def as_predictions(self, answers: Sequence[Answer]) -> dict[str, Any]:
        """The answer to a request of MLflow's server; fields after the first are ours."""
        document: dict[str, Any] = {"predictions": [answer.prediction for answer in answers]}
        if self._class_names:
            document["score"] = [answer.score for answer in answers]
            document["probability"] = [answer.probability for answer in answers]
        return document | {"model_version": self.number}


def _data_of(output: str, answers: Sequence[Answer]) -> list[Any]:
    if output != "probability":
        return [getattr(answer, output) for answer in answers]
    # Data of more than one dimension is flat, in row-major order.
    return [part for answer in answers for part in (answer.probability or {}).values()]
