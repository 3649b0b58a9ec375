"""The policies that are compared: the default, what people do, and those of YAML files."""

from argparse import ArgumentTypeError
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lakehouse.settings import PolicySettings, load_model_settings, load_policy_settings

OF_MODEL, NEVER = "yaml", "never"

_UNGUARDED = {
    "confidence": 0.0,
    "suspicion_confidence": 0.0,
    "least_confidence": 0.0,
    "slice_fall": 1.0,
}
_UNGUARDED |= {"first_gain": 0.0, "first_right": 0.0}
_NO_PROBATION = {"rows": 0}


def _simple(rules: list[dict[str, Any]], rows: str, newest: str = "7 days") -> PolicySettings:
    """A rule, the newest rows or all of them, no gate, no recovery."""
    return PolicySettings.model_validate(
        {
            "rules": rules,
            "candidates": {"rows": rows, "newest": newest},
            "gate": _UNGUARDED,
            "probation": _NO_PROBATION,
            "growth": None,
        }
    )


_DAILY = [{"rule": "scheduled", "every": "1 day"}]
_FIVE_POINTS = {"rule": "threshold", "change": 0.05}

POLICIES: Mapping[str, PolicySettings] = {
    "default": PolicySettings(),
    NEVER: _simple([{"rule": "scheduled", "every": "99999 days"}], "everything"),
    "daily, all rows": _simple(_DAILY, "everything"),
    "daily, last 3 days": _simple(_DAILY, "newest", "3 days"),
    "-5 points, last 7 days": _simple([_FIVE_POINTS], "newest", "7 days"),
    "3 of 5 below, last 5 days": _simple(
        [_FIVE_POINTS | {"breaches": 3, "windows": 5}], "newest", "5 days"
    ),
    "Page-Hinkley, last 5 days": _simple([{"rule": "page_hinkley"}], "newest", "5 days"),
    "ADWIN, last 5 days": _simple([{"rule": "adwin"}], "newest", "5 days"),
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
