import gc
import sys

LOADED_OBJECTS = 100_000
"""Fewer than PySpark, pandas, pyarrow and scikit-learn have."""
LIBRARIES = ("pandas", "pyarrow.compute", "pyspark.worker", "sklearn.ensemble")


def test_a_workers_collections_leave_out_what_the_daemon_has_loaded(spark):
    """A collection after each task took a fifth of a second to look through the libraries."""

    def asked(_):
        looked_through = {id(each) for each in gc.get_objects()}
        names = [name for name in LIBRARIES if id(vars(sys.modules[name])) in looked_through]
        return gc.get_freeze_count(), names

    # A worker is used again: what its earlier tasks have loaded is looked through, and may be much.
    frozen, names = spark.sparkContext.parallelize([0], 1).map(asked).first()
    assert frozen > LOADED_OBJECTS
    assert names == []
