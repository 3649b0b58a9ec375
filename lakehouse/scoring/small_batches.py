"""The predictions of a small micro-batch, made on the driver: the same as the workers make.

For a thousand rows, most of what a Spark job with Python workers takes is its start.
"""

import pyarrow as pa
from pyspark.sql import DataFrame

from lakehouse.models import is_finite
from lakehouse.scoring.transforms import ScoringModel, answer_of, fields_of, outputs_here
from lakehouse.settings.reserved import PREDICTION

MOST_BYTES = 2**20
"""Of the files that a small micro-batch reads: some twenty thousand rows."""


def is_small(rows: DataFrame) -> bool:
    """Return whether rows are few enough for the driver, by the sizes of the files they are in."""
    statistics = rows._jdf.queryExecution().optimizedPlan().stats()
    return int(str(statistics.sizeInBytes())) <= MOST_BYTES


def predicted_rows(
    rows: pa.Table, model: ScoringModel, prediction: pa.DataType
) -> tuple[pa.Table, pa.Table]:
    """The rows with the version and its prediction, as `transforms.with_prediction` makes them.

    Args:
        rows: with the features that the version reads.
        model: the version.
        prediction: type of a prediction.

    Returns:
        The rows that have a prediction, and without any of that, those whose output is not finite.
    """
    outputs = outputs_here(rows.to_pandas(), model)
    is_known = is_finite(outputs)
    known, unknown = rows.filter(pa.array(is_known)), rows.filter(pa.array(~is_known))
    version = pa.scalar(model.version)
    answers = fields_of(answer_of(model.problem).array(outputs[is_known]))
    answers[PREDICTION] = answers[PREDICTION].cast(prediction)
    for name, values in {**answers, "model_version": pa.repeat(version, len(known))}.items():
        known = known.append_column(name, values)
    unknown = unknown.append_column("model_version", pa.repeat(version, len(unknown)))
    return known, unknown
