"""What is measured: windows, bins, slices, and metrics of the user's own."""

import datetime as dt
import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PlainValidator

from lakehouse.calendar import Granularity, base_window
from lakehouse.settings.base import Name, Settings, checked_name, checked_once


def _checked_granularity(text: Any) -> Granularity:
    return text if isinstance(text, Granularity) else Granularity(str(text))


def _checked_input(name: str) -> str:
    return name if name == ":table" else checked_name(name)


def _metric_type(text: Any) -> Any:
    """The bare word of a type, also if it is written as in Databricks' API."""
    return text.lower().split("custom_metric_type_")[-1] if isinstance(text, str) else text


def _output_type(given: Any) -> Any:
    """The name of a type, also where it is given as a StructField (a mapping, or its JSON)."""
    if isinstance(given, str) and given.lstrip().startswith("{"):
        try:
            given = json.loads(given)
        except ValueError as error:
            raise ValueError(
                "write a type such as `double`, or the JSON of a StructField"
            ) from error
    name = given.get("type") if isinstance(given, dict) else given
    if isinstance(name, str):
        return {"bigint": "long", "int": "integer"}.get(name.lower(), name.lower())
    return name


Width = Annotated[Granularity, PlainValidator(_checked_granularity), PlainSerializer(str)]


class CustomMetricSettings(Settings):
    """A metric of the user's own: a column of gold.profile_metrics, or of gold.drift_metrics.

    The fields are those of Databricks' custom metrics; `docs/custom-metrics.md` tells what a
    definition may say.
    """

    name: Name
    type: Annotated[Literal["aggregate", "derived", "drift"], BeforeValidator(_metric_type)]
    input_columns: Annotated[
        tuple[Annotated[str, AfterValidator(_checked_input)], ...],
        Field(min_length=1),
        AfterValidator(checked_once),
    ]
    definition: Annotated[str, Field(min_length=1)]
    output_data_type: Annotated[
        Literal["double", "long", "integer", "boolean", "string"], BeforeValidator(_output_type)
    ]


CustomMetrics = Annotated[tuple[CustomMetricSettings, ...], AfterValidator(checked_once)]


class MetricSettings(Settings):
    """What is measured: the windows and bins of the metric tables, and what is looked at by itself.

    Attributes:
        granularities: widths of the windows.
        bins: of numeric columns, from the quantiles of the first champion's training data.
        columns: columns of the readings that are monitored besides the features.
        slices: SQL predicates or columns over a prediction with its label.
        custom: metrics of the user's own, each a column of its own.
        baseline_table: a Delta table (`layer.table`, or a path), a third reference for drift.
        model_id_column: name of the metric tables' column for the model version.
    """

    granularities: Annotated[tuple[Width, ...], Field(min_length=1), AfterValidator(checked_once)]
    bins: Annotated[int, Field(ge=2, le=1000)] = 20
    columns: Annotated[tuple[Name, ...], AfterValidator(checked_once)] = ()
    slices: Annotated[tuple[str, ...], AfterValidator(checked_once)] = ()
    custom: CustomMetrics = ()
    baseline_table: str | None = None
    model_id_column: Name = "model_version"

    @property
    def base_window(self) -> dt.timedelta:
        """The width of the windows that additive facts are kept for."""
        return base_window(self.granularities)
