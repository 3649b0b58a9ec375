"""The policies that are compared: the default, what people do, and those of YAML files."""

from argparse import ArgumentTypeError
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lakehouse.settings import PolicySettings, load_model_settings, load_policy_settings

OF_MODEL, NEVER = "yaml", "never"

_UNGUARDED = {"confidence": 0.0, "least_confidence": 0.0, "slice_fall": 1.0, "first_gain": 0.0}
_NO_PROBATION = {"rows": 0}


def _simple(rules: list[dict[str, Any]], rows: str, newest: str = "7 days") -> PolicySettings:
    """A rule, the newest rows or all of them, no gate, no recovery."""
    return PolicySettings.model_validate(
        {
            "rules": rules,
            "candidates": {"rows": rows, "windows": [newest]},
            "gate": _UNGUARDED,
            "probation": _NO_PROBATION,
            "price": None,
        }
    )


_SCHEDULES = {"daily": "1 day", "weekly": "7 days"}
_WINDOWS = {
    "all rows": None,
    "last 3 days": "3 days",
    "last 7 days": "7 days",
    "last 30 days": "30 days",
}
_FIVE_POINTS = {"rule": "threshold", "change": 0.05}

HABITS: Mapping[str, PolicySettings] = {
    NEVER: _simple([{"rule": "scheduled", "every": "99999 days"}], "everything")
} | {
    f"{name}, {rows}": _simple(
        [{"rule": "scheduled", "every": every}],
        "newest" if newest else "everything",
        newest or "7 days",
    )
    for name, every in _SCHEDULES.items()
    for rows, newest in _WINDOWS.items()
}
"""What people do without looking: when they train, and on which rows."""

POLICIES: Mapping[str, PolicySettings] = {
    "default": PolicySettings(),
    **HABITS,
    "-5 points, last 7 days": _simple([_FIVE_POINTS], "newest"),
    "3 of 5 below, last 5 days": _simple(
        [_FIVE_POINTS | {"breaches": 3, "windows": 5}], "newest", "5 days"
    ),
}


def policy_name(word: str) -> str:
    """A word of a command line that names a policy.

    Raises:
        ArgumentTypeError: it does not.
    """
    if word in (*POLICIES, OF_MODEL) or Path(word).suffix in (".yaml", ".yml"):
        return word
    raise ArgumentTypeError(
        f"{word!r} is none; write one of {', '.join(POLICIES)}, {OF_MODEL}, or a YAML file"
    )


def policies_of(names: Iterable[str], model: Path | str) -> dict[str, PolicySettings]:
    """The named policies, in that order: built in, `yaml` for the model's own, or a file of what
    stands there.

    Raises:
        ConfigurationError: a file cannot be read, or says what is no setting.
    """
    return {name: POLICIES[name] if name in POLICIES else _of_file(name, model) for name in names}


def _of_file(name: str, model: Path | str) -> PolicySettings:
    return load_model_settings(model).policy if name == OF_MODEL else load_policy_settings(name)
