"""Is our scoring faster than MLflow's own Spark UDF, with equal answers?

Peer: `mlflow.pyfunc.spark_udf` on the same model, asked for probabilities, in the same session,
over the same cached rows, with the same Arrow batches and with code generation on, as it is by
default. Both write to no sink; they take turns, and the best of three counts. Models: a forest of
50 trees, and histogram boosting of 60 iterations, of 3 features.

    spark-submit --properties-file conf/spark-local.properties tests/benchmarks/score.py [ROWS]

Figures of 2026-12-02, 5 million rows, 2 cores that light work shared:

| | lakehouse | spark_udf | ratio | greatest difference of a probability |
|---|---|---|---|---|
| forest of 50 trees | 503 thousand rows a second | 159 | 3.16 | 0 |
| boosting of 60 iterations | 469 thousand rows a second | 146 | 3.22 | 0 |

The models alone, without Spark: docs/decisions/0020-trees-are-scored-as-flat-arrays.md.
"""

import hashlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from sklearn.pipeline import Pipeline

from lakehouse.glassware.pieces import Stream
from lakehouse.models import (
    TRUSTED_TYPES,
    Classification,
    Features,
    TrainingSet,
    Trial,
    dump,
    fit_weighted,
)
from lakehouse.scoring.transforms import ScoringModel, with_prediction
from lakehouse.storage.session import open_session

FEATURES = Features(("temp", "pressure", "duration"))
QUALITY = Classification((0, 1), 1)


TRIALS = (
    Trial("all", "random_forest", {"n_estimators": 50, "min_samples_leaf": 3}),
    Trial("all", "hist_gradient_boosting", {"max_iter": 60}),
)


def pieces() -> TrainingSet:
    """A thousand pieces and their labels."""
    stream = Stream()
    rows = stream.readings(1, 1152).to_pandas()[FEATURES.names]
    codes = stream.labels(1, 1152).to_pandas()["quality"].to_numpy()
    return TrainingSet(FEATURES, QUALITY, rows, codes, np.ones(len(rows), dtype=bool), 0)


def seconds(frame: DataFrame) -> float:
    """How long the frame takes to compute."""
    began = time.perf_counter()
    frame.write.format("noop").mode("overwrite").save()
    return time.perf_counter() - began


@contextmanager
def spark_udf_of(
    spark: SparkSession, model: Pipeline, example: pd.DataFrame
) -> Iterator[Callable[..., Column]]:
    """MLflow's UDF of the model, saved as MLflow saves it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        mlflow.sklearn.save_model(
            model,
            path,
            signature=infer_signature(example, model.predict_proba(example)),
            skops_trusted_types=list(TRUSTED_TYPES),
            pip_requirements=["scikit-learn", "skops"],
            pyfunc_predict_fn="predict_proba",
        )
        yield mlflow.pyfunc.spark_udf(
            spark, str(path), result_type="array<double>", env_manager="local"
        )


def compare(spark: SparkSession, rows: DataFrame, trial: Trial, n_rows: int) -> None:
    """Print both rates of a model, their ratio, and the greatest difference of the answers."""
    data = pieces()
    model = fit_weighted(trial, data, np.ones(len(data.rows)))
    content = dump(model)
    ours = ScoringModel(
        "1",
        hashlib.sha256(content).hexdigest(),
        spark.sparkContext.broadcast(content),
        FEATURES,
        QUALITY,
    )
    with spark_udf_of(spark, model, data.rows) as peer:
        contenders: dict[str, Callable[[], DataFrame]] = {
            "lakehouse": lambda: with_prediction(rows, ours, "int"),
            "spark_udf": lambda: rows.withColumn("found", peer(F.struct(*FEATURES.names))),
        }
        best = dict.fromkeys(contenders, float("inf"))
        for _ in range(3):
            for name, frame in contenders.items():
                best[name] = min(best[name], seconds(frame()))
        both = contenders["lakehouse"]().withColumn("found", peer(F.struct(*FEATURES.names)))
        gap = both.agg(F.max(F.abs(F.col("score") - F.col("found")[1]))).collect()[0][0]
    print(trial.family, flush=True)
    for name, took in best.items():
        print(f"  {name}: {n_rows / took / 1000:,.0f} thousand rows a second", flush=True)
    ratio = best["spark_udf"] / best["lakehouse"]
    print(f"  ratio {ratio:.2f}, greatest difference of a probability {gap:g}", flush=True)


def main(n_rows: int) -> None:
    """Compare both on each model."""
    spark = open_session()
    spark.conf.set("spark.sql.codegen.wholeStage", "true")
    spark.conf.set("spark.sql.codegen.factoryMode", "FALLBACK")
    rows = spark.range(n_rows).select(
        (350 + 10 * F.rand(1)).alias("temp"),
        (12 + 2 * F.randn(2)).alias("pressure"),
        (28.5 + 4 * F.rand(3)).alias("duration"),
    )
    rows = rows.repartition(8).persist()
    rows.count()
    for trial in TRIALS:
        compare(spark, rows, trial, n_rows)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5_000_000)
