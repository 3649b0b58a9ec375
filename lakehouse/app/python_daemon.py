"""Spark's Python daemon with the workers' libraries loaded: workers start in milliseconds.

Named by `spark.python.daemon.module`. A worker that was idle for a minute is dropped, and one that
starts empty takes seconds of imports; a night of a plant has several such starts.

A worker collects its garbage after each task. What the daemon has loaded stays, so it is left out:
looking through it took a fifth of a second of each task.
"""

import gc

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
    gc.collect()
    gc.freeze()
    manager()
