import gc


def test_a_workers_collections_leave_out_what_the_daemon_has_loaded(spark):
    """A collection after each task took a fifth of a second to look through the libraries."""
    asked = spark.sparkContext.parallelize([0], 1).map(
        lambda _: (gc.get_freeze_count(), len(gc.get_objects()))
    )
    frozen, looked_through = asked.first()
    assert frozen > 10 * looked_through
