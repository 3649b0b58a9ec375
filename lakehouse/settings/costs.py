"""What predictions cost: a matrix in money, by what was predicted and what is true."""

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator

from lakehouse.settings.base import Scalar, Settings

COST_METRIC = "cost_per_thousand"
"""The custom metric that a cost matrix becomes: money for a thousand labelled rows."""


class CostCell(Settings):
    """What a row costs that was predicted so, and whose label is so; a gain is below zero."""

    predicted: Scalar
    label: Scalar
    cost: float


class CostSettings(Settings):
    """The cells of the matrix; one that is not named costs nothing.

    Attributes:
        currency: as ISO 4217 has it.
        cells: each pair of classes once.
    """

    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "EUR"
    cells: Annotated[tuple[CostCell, ...], Field(min_length=1)]

    @field_validator("cells")
    @classmethod
    def _once(cls, cells: tuple[CostCell, ...]) -> tuple[CostCell, ...]:
        times = Counter((cell.predicted, cell.label) for cell in cells)
        twice = [pair for pair, n in times.items() if n > 1]
        if twice:
            predicted, label = twice[0]
            raise ValueError(f"predicted {predicted!r} of label {label!r} stands there twice")
        return cells

    @property
    def by_pair(self) -> dict[tuple[Scalar, Scalar], float]:
        """The costs by what was predicted and the label."""
        return {(cell.predicted, cell.label): cell.cost for cell in self.cells}

    @property
    def values(self) -> list[Scalar]:
        """The classes that the cells name."""
        return [value for cell in self.cells for value in (cell.predicted, cell.label)]

    @property
    def metric(self) -> dict[str, Any]:
        """The matrix as a custom metric (docs/custom-metrics.md)."""
        cases = " ".join(
            f"WHEN {{{{prediction_col}}}} = {_literal(cell.predicted)} "
            f"AND {{{{label_col}}}} = {_literal(cell.label)} THEN {_double(cell.cost)}"
            for cell in self.cells
        )
        return {
            "name": COST_METRIC,
            "type": "aggregate",
            "input_columns": [":table"],
            "definition": f"1000 * sum(CASE {cases} ELSE 0E0 END) / count({{{{label_col}}}})",
            "output_data_type": "double",
        }


def with_cost_metric(given: Any) -> Any:
    """A model's settings as YAML has them, with its cost matrix among the custom metrics."""
    if not isinstance(given, Mapping) or not isinstance(given.get("costs"), Mapping):
        return given
    metrics = given.get("metrics")
    if not isinstance(metrics, Mapping):
        return given
    try:
        metric = CostSettings.model_validate(given["costs"]).metric
    except ValidationError:  # told of the field itself
        return given
    custom = list(metrics.get("custom") or ())
    if metric in custom:
        return given
    return {**given, "metrics": {**metrics, "custom": [*custom, metric]}}


def _literal(value: Scalar) -> str:
    """A class in SQL."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        quoted = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"'{quoted}'"
    return repr(value)


def _double(cost: float) -> str:
    """A number in SQL that is a double, not a decimal."""
    text = repr(float(cost))
    return text if "e" in text else f"{text}E0"
