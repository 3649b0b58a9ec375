"""A lakehouse of simulated glass against its generator: every piece that landed is there, as made."""

from pathlib import Path

import pyarrow as pa

from lakehouse.glassware.gateway import LABELS, READINGS, last_landed, simulation_in
from lakehouse.storage.store import Store
from lakehouse.tables import Table


def untrue(store: Store, landing: Path) -> list[str]:
    """What silver holds otherwise than the generator made it, in sentences.

    Args:
        store: of the lakehouse.
        landing: the folder that the generator has landed in.
    """
    stream, catalog = simulation_in(landing), store.catalog
    assert stream is not None
    made = stream.readings(1, last_landed(landing, READINGS))
    told = stream.labels(1, last_landed(landing, LABELS))
    found = [*_differences(store, catalog.readings, made)]
    found += _differences(store, catalog.labels, told)
    scored = store.arrow(catalog.predictions, columns=["pid"])["pid"]
    if len(scored) and sorted(scored.to_pylist()) != sorted(made["pid"].to_pylist()):
        found.append(f"{len(scored)} predictions of {len(made)} readings")
    return found


def _differences(store: Store, table: Table, made: pa.Table) -> list[str]:
    rows = store.arrow(table, columns=made.column_names).sort_by("pid").cast(made.schema)
    if len(rows) != len(made):
        return [f"{table.full_name}: {len(rows)} rows, {len(made)} were made"]
    return [
        f"{table.full_name}.{name} is not as it was made"
        for name in made.column_names
        if not rows[name].equals(made.sort_by("pid")[name])
    ]
