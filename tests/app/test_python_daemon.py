import gc

LOADED_OBJECTS = 100_000
"""Fewer than PySpark, pandas, pyarrow and scikit-learn have; what a worker has loaded since its
earlier tasks does not count."""


def test_a_workers_collections_leave_out_what_the_daemon_has_loaded(spark):
    """A collection after each task took a fifth of a second to look through the libraries."""
    frozen = spark.sparkContext.parallelize([0], 1).map(lambda _: gc.get_freeze_count()).first()
    assert frozen > LOADED_OBJECTS
