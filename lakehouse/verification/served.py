"""What an endpoint answered against what the stream predicted for the same readings."""

import re

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.sql.views import view_of
from lakehouse.storage.lakehouse import Lakehouse


def differing_answers(lakehouse: Lakehouse) -> str:
    """In words, how many answers the stream contradicts though one version made both; empty for
    none.
    """
    catalog, store = lakehouse.catalog, lakehouse.store
    sql = view_of(lakehouse.model, catalog, "served_answer").sql
    for table in catalog.tables:  # the session knows no names, only paths
        name = re.escape(table.full_name)
        at_path = f"delta.`{store.path(table)}`".replace("\\", r"\\")
        sql = re.sub(rf"(?<=FROM ){name}\b|(?<=JOIN ){name}\b", at_path, sql)
    differing = lakehouse.spark.sql(sql).where("is_same_version AND NOT is_same")
    n_differing = _of_equal_features(lakehouse, differing).count()
    if not n_differing:
        return ""
    return f"{n_differing:,} answers differ from the prediction that the same version made"


def _of_equal_features(lakehouse: Lakehouse, answers: DataFrame) -> DataFrame:
    """Answers whose features of earlier rows are those of the prediction.

    An endpoint does not know what comes by other ways until ingest has taken it in.
    """
    features, store = lakehouse.model.history.features, lakehouse.store
    if not features:
        return answers
    lines = store.read(lakehouse.catalog.bronze_readings).select(
        F.get_json_object("raw", "$._served.request").alias("request"),
        *(
            F.get_json_object("raw", f"$._served.history.{name}")
            .cast("double")
            .alias(f"_told_{name}")
            for name in features
        ),
    )
    key = F.col(lakehouse.model.key).cast("string").alias("key")
    own = [F.col(name).alias(f"_own_{name}") for name in features]
    predicted = store.read(lakehouse.catalog.predictions).select(key, *own)
    joined = answers.join(lines, "request").join(predicted, "key")
    return joined.where(" AND ".join(f"_told_{name} <=> _own_{name}" for name in features))
