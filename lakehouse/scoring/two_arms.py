"""Two versions score the same rows in one UDF: one answers in production, the other is kept beside.

Whatever the challenger does, the champion's answer is there: where the challenger raises or gives
no finite output, production takes the champion's.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakehouse.models import is_finite
from lakehouse.rollouts.arms import spark_sql
from lakehouse.rollouts.verdict import Scored
from lakehouse.scoring.binding import Binding
from lakehouse.scoring.transforms import (
    Answer,
    ScoringModel,
    answer_of,
    fields_of,
    outputs_by,
    run_once,
)
from lakehouse.settings.reserved import PREDICTION

_OTHER = "c_"
"""Prefix of the challenger's fields in the worker's answer."""
_NOT_FINITE = "not finite"
NOT_LOADED = "not loaded"


@dataclass(frozen=True)
class TwoArms:
    """What two versions say of rows.

    Attributes:
        rows: the rows, with the worker's answer and the arm of each; to be persisted.
        champion: it scores whatever happens.
        challenger: None where its file cannot be had any more.
        binding: of the micro-batch.
        prediction_type: Spark's type of a prediction.
        tolerance: of a regression, how far two predictions may be apart and still be the same.
    """

    rows: DataFrame
    champion: ScoringModel
    challenger: ScoringModel | None
    binding: Binding
    prediction_type: str
    tolerance: float | None = None

    @property
    def _of_champion(self) -> list[Column]:
        return answer_of(self.champion.problem).columns(self.prediction_type)

    @property
    def _of_challenger(self) -> list[Column]:
        if self.challenger is None:
            return [F.lit(None) for _ in self._names]
        return answer_of(self.challenger.problem).columns(self.prediction_type, _OTHER)

    @property
    def _names(self) -> list[str]:
        is_class = len(self._of_champion) > 1
        return [PREDICTION, "score", "probability"] if is_class else [PREDICTION]

    @property
    def _is_challengers(self) -> Column:
        """Whether production takes the challenger's answer."""
        return F.col("_arm") & F.col("_found.c_error").isNull()

    def production(self, columns: list[str]) -> DataFrame:
        """The rows with the answer of their arm; a row that neither answers has none: null."""
        return self._answers(self._is_challengers, columns)

    def shadow(self, columns: list[str]) -> DataFrame:
        """The rows with the answer that production did not take, and why the challenger has
        none.
        """
        error = F.when(~self._is_challengers, F.col("_found.c_error")).alias("error")
        return self._answers(~self._is_challengers, columns, error)

    def _answers(self, is_challengers: Column, columns: list[str], *more: Column) -> DataFrame:
        sides = zip(self._names, self._of_challenger, self._of_champion, strict=True)
        version = F.when(is_challengers, F.lit(self.binding.challenger))
        return self.rows.select(
            *columns,
            *(
                F.when(is_challengers, one).otherwise(other).alias(name)
                for name, one, other in sides
            ),
            version.otherwise(F.lit(self.binding.version)).alias("model_version"),
            *more,
        )

    def scored(self) -> Scored:
        """How the challenger did on the rows."""
        sides = self._of_champion[0].alias("one"), self._of_challenger[0].alias("other")
        error, seconds = F.col("_found.c_error"), F.col("_found.c_seconds")
        differ = F.expr("one <> other")
        if self.tolerance is not None:
            differ = F.abs(F.col("one") - F.col("other")) > self.tolerance
        told = self.rows.select(*sides, error.alias("error"), seconds.alias("seconds")).agg(
            F.count("*"), F.count("error"), F.count_if(differ), F.sum("seconds")
        )
        rows, errors, disagreements, taken = told.collect()[0]
        return Scored(rows, errors, disagreements, float(taken or 0.0))


def with_two_answers(
    rows: DataFrame,
    models: tuple[ScoringModel, ScoringModel | None],
    binding: Binding,
    key: str,
    prediction_type: str,
    tolerance: float | None,
) -> TwoArms:
    """Ask both versions for each row, and tell the arm of each.

    Args:
        rows: with the features of both.
        models: champion and challenger.
        binding: of the micro-batch.
        key: name of the key's column.
        prediction_type: Spark's type of a prediction.
        tolerance: see `TwoArms`.
    """
    champion, challenger = models
    names = dict.fromkeys(champion.features.names)
    if challenger is not None:
        names |= dict.fromkeys(challenger.features.names)
    schema = _schema(champion, challenger)
    predict = run_once(_predictor(champion, challenger, list(names)), schema)
    found = rows.withColumn("_found", predict(*names)).withColumn(
        "_arm", F.expr(spark_sql(binding.rollout_id, key, binding.share))
    )
    return TwoArms(found, champion, challenger, binding, prediction_type, tolerance)


def _schema(champion: ScoringModel, challenger: ScoringModel | None) -> str:
    fields = [answer_of(champion.problem).schema]
    if challenger is not None:
        own = answer_of(challenger.problem).schema.split(", ")
        fields += [f"{_OTHER}{field}" for field in own]
    return ", ".join([*fields, "c_error string", "c_seconds double"])


def _predictor(
    champion: ScoringModel, challenger: ScoringModel | None, names: list[str]
) -> Callable[..., pa.Array]:
    answer, asked = answer_of(champion.problem), outputs_by(champion)
    tried = None if challenger is None else (answer_of(challenger.problem), outputs_by(challenger))

    def predict(*columns: pa.Array) -> pa.Array:
        rows = pa.Table.from_arrays(list(columns), names).to_pandas()
        own = fields_of(answer.array(asked(rows)))
        found = own | _tried(tried, rows)
        return pa.StructArray.from_arrays(list(found.values()), list(found))

    return predict


def _tried(
    challenger: tuple[Answer, Callable[[pd.DataFrame], np.ndarray]] | None, rows: pd.DataFrame
) -> dict[str, pa.Array]:
    """What the challenger says of rows, whatever it does."""
    n = len(rows)
    if challenger is None:
        return {"c_error": pa.repeat(NOT_LOADED, n), "c_seconds": pa.repeat(0.0, n)}
    answer, asked = challenger
    began = time.perf_counter()
    try:
        outputs = np.asarray(asked(rows), dtype=float)
        found = answer.array(outputs)
        errors = [None if known else _NOT_FINITE for known in is_finite(outputs)]
    except Exception as error:
        found, errors = answer.nothing(n), [type(error).__name__] * n
    seconds = (time.perf_counter() - began) / max(n, 1)
    own = {f"{_OTHER}{name}": values for name, values in fields_of(found).items()}
    return own | {"c_error": pa.array(errors, pa.string()), "c_seconds": pa.repeat(seconds, n)}
