"""What a row of a metric table must hold: values and bounds, and a comparison that says what is not
so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Near:
    """A number up to rounding."""

    value: float
    rel: float = 1e-9
    abs: float = 1e-12


@dataclass(frozen=True)
class Between:
    """A number (or a list of them) from `low` to `high`, up to rounding."""

    low: Any
    high: Any


def differences(row: Mapping[str, Any], expected: Mapping[str, Any], within: str = "") -> list[str]:
    """What of a row is not as expected, one sentence each; columns that are not expected are not
    looked at.
    """
    found = []
    for name, value in expected.items():
        actual = row[name]
        if isinstance(value, Mapping) and isinstance(actual, Mapping):
            missing = [f"{within}{name} lacks {key}" for key in value if key not in actual]
            found += missing or differences(actual, value, f"{within}{name}.")
        elif not _agrees(actual, value):
            found.append(f"{within}{name} is {actual}, expected {value}")
    return found


def _agrees(actual: Any, expected: Any) -> bool:
    if isinstance(expected, Near):
        if actual is None or isinstance(actual, Mapping):
            return False
        return bool(actual == expected.value or abs(actual - expected.value) <= allowed(expected))
    if isinstance(expected, Between):
        numbers = np.asarray(actual, dtype=float)
        slack = 1e-9 * np.maximum(np.abs(expected.low), np.abs(expected.high))
        return actual is not None and bool(
            np.all((numbers >= expected.low - slack) & (numbers <= expected.high + slack))
        )
    return bool(actual == expected)


def allowed(expected: Near) -> float:
    return max(expected.rel * abs(expected.value), expected.abs)
