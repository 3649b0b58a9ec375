"""Tests of a model before it is promoted, and what wrong calls cost (docs/checks.md)."""

from collections.abc import Sequence
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, model_validator

from lakehouse.settings.base import Scalar, Settings, checked_once

CheckName = Literal[
    "description",
    "owner",
    "round_trip",
    "determinism",
    "robustness",
    "worst_slice",
    "cost",
    "size",
    "latency",
]
CHECKS: tuple[CheckName, ...] = get_args(CheckName)


class CheckSettings(Settings):
    """Which tests a model must pass, and their limits. All are made, and on record.

    Attributes:
        demanded: those without which nothing is promoted.
        slice_fall: how far below its accuracy a model may be in a slice, as a share of the rows.
        largest_bytes: of the model file.
        milliseconds_per_thousand: how long the model may take to score a thousand rows; None for
            any time.
    """

    demanded: Annotated[tuple[CheckName, ...], AfterValidator(checked_once)] = ()
    slice_fall: Annotated[float, Field(ge=0, le=1)] = 0.1
    largest_bytes: Annotated[int, Field(gt=0)] = 100_000_000
    milliseconds_per_thousand: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _latency_has_a_limit(self) -> "CheckSettings":
        if "latency" in self.demanded and self.milliseconds_per_thousand is None:
            raise ValueError("demanded: `latency` needs `milliseconds_per_thousand`; write it")
        return self


class CostCell(Settings):
    """What a call of `prediction` costs where the label is `label`; a gain is below zero."""

    label: Scalar
    prediction: Scalar
    cost: Annotated[float, Field(allow_inf_nan=False)]


class CostSettings(Settings):
    """What calls cost. A cell that is not named costs nothing.

    Attributes:
        currency: of all costs.
        cells: of the matrix of labels and predictions.
    """

    currency: Annotated[str, Field(min_length=1)] = "EUR"
    cells: Annotated[tuple[CostCell, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _each_cell_once(self) -> "CostSettings":
        pairs = [(cell.label, cell.prediction) for cell in self.cells]
        twice = [pair for pair in pairs if pairs.count(pair) > 1]
        if twice:
            raise ValueError(
                f"cells: label {twice[0][0]} with prediction {twice[0][1]} stands there twice; "
                "leave one out"
            )
        return self


def check_costs(
    costs: CostSettings | None, classes: Sequence[Scalar], checks: CheckSettings
) -> None:
    """Check that costs are of a model's classes; a regression has none.

    Raises:
        ValueError: they are not, or a check needs costs that are not there.
    """
    if costs is None:
        if "cost" in checks.demanded:
            raise ValueError("policy.checks.demanded: `cost` needs `costs`; write them")
        return
    if not classes:
        raise ValueError("costs: leave them out; they are of classes, not of numbers")
    named = [value for cell in costs.cells for value in (cell.label, cell.prediction)]
    strange = [value for value in named if value not in classes]
    if strange:
        raise ValueError(f"costs.cells: {strange[0]!r} is no class; write one of {list(classes)}")
