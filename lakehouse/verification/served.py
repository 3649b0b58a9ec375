"""What an endpoint answered against what the stream predicted for the same readings."""

import re

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
    differing = lakehouse.spark.sql(sql).where("is_same_version AND NOT is_same").count()
    if not differing:
        return ""
    return f"{differing:,} answers differ from the prediction that the same version made"
