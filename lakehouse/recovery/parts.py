"""What becomes of each table when a lakehouse is made again, and which columns then differ."""

from lakehouse.storage.kept_rows import kept_tables
from lakehouse.tables import Catalog, Table
from lakehouse.tables.row_comparison import WHEN_COMPUTED

WHEN_MADE = WHEN_COMPUTED | {"monitor_version", "recorded_at", "training_seconds"}
"""Columns of computed tables that tell when a row was computed, and from which Delta versions: the
rows that are made again are computed at once. All other columns are to be the same.
"""


def copied(catalog: Catalog) -> tuple[Table, ...]:
    """Bronze: it is copied as it is."""
    return (
        catalog.landed_file,
        *catalog.lines,
        catalog.kept_row,
    )


def from_lines(catalog: Catalog) -> tuple[Table, ...]:
    """What is made from bronze's lines."""
    return (
        *catalog.history,
        catalog.readings,
        catalog.labels,
        catalog.quarantine,
        catalog.duplicate,
    )


def from_versions(catalog: Catalog) -> tuple[Table, ...]:
    """What registered versions make from readings."""
    return catalog.predictions, catalog.shadow_predictions, catalog.unscorable


def computed(catalog: Catalog) -> tuple[Table, ...]:
    """What is computed from silver."""
    return (
        catalog.window_facts,
        catalog.profile_metrics,
        catalog.drift_metrics,
        catalog.counterfactual,
    )


def records(catalog: Catalog) -> tuple[Table, ...]:
    """Records that nothing can be made from: put back from bronze.kept_row, and from the table
    itself as far as it can be read.
    """
    # Unscorable readings are made again with the predictions.
    return tuple(table for table in kept_tables(catalog) if table != catalog.unscorable)


def operations(catalog: Catalog) -> tuple[Table, ...]:
    """Records of what jobs did: put back as far as they can be read, and kept nowhere else."""
    return catalog.batch_metrics, catalog.job_run


def anew(catalog: Catalog) -> tuple[Table, ...]:
    """What tells of the tables on disk themselves."""
    return (catalog.table_commit,)
