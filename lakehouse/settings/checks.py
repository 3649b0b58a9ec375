"""Tests of a model before it is promoted (docs/checks.md)."""

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, model_validator

from lakehouse.settings.base import Settings, checked_once

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
