"""The columns that custom metrics become."""

from collections.abc import Sequence

from lakehouse.errors import ConfigurationError
from lakehouse.settings import CustomMetricSettings
from lakehouse.tables.declaration import SQL_TYPES, Column, Table


def custom_columns(
    metrics: Sequence[CustomMetricSettings], profile: Table, drift: Table
) -> tuple[tuple[Column, ...], tuple[Column, ...]]:
    """The columns that metrics add to the profile table, and drift metrics to the drift table.

    Raises:
        ConfigurationError: a sentence for each metric whose name is a column already.
    """
    wrong = [
        f"metrics.custom.{place}.name: {metric.name} is a column of {table.full_name} already; "
        "write another name"
        for place, metric in enumerate(metrics)
        for table in [drift if metric.type == "drift" else profile]
        if metric.name in (column.name for column in table.columns)
    ]
    if wrong:
        raise ConfigurationError("\n".join(wrong))
    return (
        tuple(_column(metric) for metric in metrics if metric.type != "drift"),
        tuple(_column(metric) for metric in metrics if metric.type == "drift"),
    )


def _column(metric: CustomMetricSettings) -> Column:
    definition = " ".join(metric.definition.split())
    return Column(
        metric.name,
        SQL_TYPES[metric.output_data_type],
        f"Custom {metric.type} metric: {definition}",
    )
