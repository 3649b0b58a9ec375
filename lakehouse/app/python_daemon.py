"""Spark's Python daemon with the workers' libraries loaded: workers start in milliseconds.

Named by `spark.python.daemon.module`. A worker that was idle for a minute is dropped, and one that
starts empty takes seconds of imports; a night of a plant has several such starts.
"""

import pandas
import pyarrow.compute
import pyspark.sql.pandas.serializers
import pyspark.worker
import sklearn.ensemble
from pyspark.daemon import manager

import lakehouse.ingest.landing.landed_lines
import lakehouse.models
import lakehouse.monitoring.transforms
import lakehouse.scoring.transforms

LOADED = (pandas, pyarrow, pyspark, sklearn, lakehouse)

if __name__ == "__main__":
    manager()
