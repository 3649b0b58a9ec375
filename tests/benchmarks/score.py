"""Is our scoring faster than MLflow's own Spark UDF, with equal answers?

Peer: `mlflow.pyfunc.spark_udf` on the same model, asked for probabilities, in the same session,
over the same cached
rows and with the same Arrow batches. Both write to no sink; the two take turns, and the best of
three counts.

    spark-submit --properties-file conf/spark-local.properties tests/benchmarks/score.py [ROWS]

Figures of 2026-11-21, 3 million rows, 2 cores (shared with other work), random forest of 50 trees,
3 features:

    lakehouse: 400 thousand rows a second
    spark_udf: 262 thousand rows a second
    ratio 1.53, greatest difference of a probability 0
"""

import hashlib
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.glassware.pieces import Stream
from lakehouse.models import TRUSTED_TYPES, Classification, Features, TrainingSet, Trial, dump, fit
from lakehouse.scoring.transforms import ScoringModel, with_prediction
from lakehouse.storage.session import open_session

FEATURES = Features(("temp", "pressure", "duration"))
QUALITY = Classification((0, 1), 1)


def trained() -> tuple[object, pd.DataFrame]:
    """A random forest on a thousand pieces, and those pieces."""
    stream = Stream()
    rows = stream.readings(1, 1152).to_pandas()[FEATURES.names]
    codes = stream.labels(1, 1152).to_pandas()["quality"].to_numpy()
    everything = np.ones(len(rows), dtype=bool)
    data = TrainingSet(FEATURES, QUALITY, rows, codes, {"all": everything}, everything, 5, 0)
    return fit(
        Trial("all", "random_forest", {"n_estimators": 50, "min_samples_leaf": 3}), data
    ), rows


def seconds(frame: DataFrame) -> float:
    """How long the frame takes to compute."""
    began = time.perf_counter()
    frame.write.format("noop").mode("overwrite").save()
    return time.perf_counter() - began


def main(n_rows: int) -> None:
    """Prints both rates, their ratio, and the greatest difference of the answers."""
    spark = open_session()
    model, example = trained()
    rows = spark.range(n_rows).select(
        (350 + 10 * F.rand(1)).alias("temp"),
        (12 + 2 * F.randn(2)).alias("pressure"),
        (28.5 + 4 * F.rand(3)).alias("duration"),
    )
    rows = rows.repartition(8).persist()
    rows.count()
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
        peer = mlflow.pyfunc.spark_udf(
            spark, str(path), result_type="array<double>", env_manager="local"
        )
        content = dump(model)
        ours = ScoringModel(
            "1",
            hashlib.sha256(content).hexdigest(),
            spark.sparkContext.broadcast(content),
            FEATURES,
            QUALITY,
        )
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
    for name, took in best.items():
        print(f"{name}: {n_rows / took / 1000:,.0f} thousand rows a second")
    print(
        f"ratio {best['spark_udf'] / best['lakehouse']:.2f}, greatest difference of a probability "
        f"{gap:g}"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3_000_000)
