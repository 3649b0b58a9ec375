"""The configuration that metrics are computed under, recorded whenever it changes."""

import datetime as dt
import json
from dataclasses import replace
from functools import reduce

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.errors import ConfigurationError
from lakehouse.monitoring.configuration import Monitor, configuration_of
from lakehouse.monitoring.transforms import profiled_parts, specs_of
from lakehouse.profiling.baseline import Baseline, from_document, merged, to_document
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.tables.declaration import SQL_TYPES


def current_monitor(lakehouse: Lakehouse, champion: Baseline) -> Monitor:
    """The configuration of the settings, recorded under the next version where it is new.

    Args:
        lakehouse: whose settings and records are compared.
        champion: the champion's baseline, which a first configuration takes its bins from.
    """
    last = _newest(lakehouse)
    specs = specs_of(lakehouse.model)
    configuration = configuration_of(lakehouse.model, specs, champion, last)
    if last and last.configuration == configuration:
        return last
    monitor = Monitor((last.version if last else 0) + 1, configuration, {})
    table = lakehouse.model.metrics.baseline_table
    if table:
        # Its rows are counted in the bins of the configuration.
        monitor = replace(monitor, baseline=_fixed_baseline(lakehouse, table, monitor))
    row = {
        "monitor_version": monitor.version,
        "configuration": configuration,
        "baseline": json.dumps(to_document(monitor.baseline)) if monitor.baseline else None,
        "recorded_at": dt.datetime.now(dt.UTC),
    }
    lakehouse.store.append_rows([row], lakehouse.catalog.monitor)
    return monitor


def _newest(lakehouse: Lakehouse) -> Monitor | None:
    rows = lakehouse.store.rows(lakehouse.catalog.monitor)
    if not rows:
        return None
    row = max(rows, key=lambda monitor: monitor["monitor_version"])
    baseline = from_document(json.loads(row["baseline"])) if row["baseline"] else {}
    return Monitor(row["monitor_version"], row["configuration"], baseline)


def _fixed_baseline(lakehouse: Lakehouse, name: str, monitor: Monitor) -> Baseline:
    """The profile of the monitored columns of the fixed baseline table, merged from parts."""
    rows = _table(lakehouse, name)
    specs = tuple(spec for spec in specs_of(lakehouse.model) if spec.name in rows.columns)
    if not specs:
        raise ConfigurationError(
            f"metrics.baseline_table: {name} has none of the monitored columns; name another table"
        )
    typed = rows.select(*(F.col(spec.name).cast(SQL_TYPES[spec.data_type]) for spec in specs))
    parts = profiled_parts(typed, specs, monitor.edges).toArrow()["document"].to_pylist()
    return reduce(merged, (from_document(json.loads(part)) for part in parts), {})


def _table(lakehouse: Lakehouse, name: str) -> DataFrame:
    own = {table.full_name: lakehouse.store.path(table) for table in lakehouse.catalog.tables}
    try:
        return lakehouse.spark.read.format("delta").load(own.get(name, name))
    except AnalysisException as error:
        raise ConfigurationError(
            f"metrics.baseline_table: {name} is not a Delta table ({error}); write `layer.table` "
            "or a path"
        ) from error
