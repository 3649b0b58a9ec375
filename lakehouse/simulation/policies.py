"""The policies that are compared: the default, what people do, and those of YAML files."""

from argparse import ArgumentTypeError
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lakehouse.errors import ConfigurationError
from lakehouse.settings import (
    PolicySettings,
    RolloutSettings,
    load_model_settings,
    load_policy_settings,
)
from lakehouse.simulation.habits import HABITS, Habit

OF_MODEL = "yaml"

_FIVE_POINTS = {"rule": "threshold", "change": 0.05}


def _simple(rules: list[dict[str, Any]], newest: int | None) -> PolicySettings:
    """A rule, the newest days or all rows, no gate, no refresh, no probation."""
    return PolicySettings.model_validate(
        {
            "rules": rules,
            "price": None,
            "candidates": {
                "rows": "newest" if newest else "everything",
                "windows": [f"{newest or 7} days"],
            },
            "gate": {
                "confidence": 0.0,
                "least_confidence": 0.0,
                "slice_fall": 1.0,
                "first_gain": 0.0,
            },
            "probation": {"rows": 0},
        }
    )


def settings_of(habit: Habit) -> PolicySettings:
    """Return the settings by which the loop does what a habit does."""
    every = f"{habit.every or 99_999} days"
    return _simple([{"rule": "scheduled", "every": every}], habit.newest)


POLICIES: Mapping[str, PolicySettings] = {
    "default": PolicySettings(),
    **{name: settings_of(habit) for name, habit in HABITS.items()},
    "-5 points, last 7 days": _simple([_FIVE_POINTS], 7),
    "3 of 5 below, last 5 days": _simple([_FIVE_POINTS | {"breaches": 3, "windows": 5}], 5),
}


KNOWN = f"some of {', '.join(POLICIES)}; {OF_MODEL}: the model's own; a YAML file of a `policy:`"
"""The names of policies, for a command line's help."""

ROLLOUTS: Mapping[str, RolloutSettings] = {
    "immediate": RolloutSettings(),
    "shadow": RolloutSettings(strategy="shadow"),
    "canary": RolloutSettings(strategy="canary"),
    "ab": RolloutSettings(strategy="ab"),
    "canary at alarms, too": RolloutSettings(strategy="canary", at_alarm="rollout"),
    "shadow at alarms, too": RolloutSettings(strategy="shadow", at_alarm="rollout"),
}
"""How winners may come into production, with the defaults of docs/rollout.md."""


def rollouts_of(names: Sequence[str]) -> dict[str, RolloutSettings]:
    """The named ways into production, in that order.

    Raises:
        ConfigurationError: one is not known.
    """
    unknown = [name for name in names if name not in ROLLOUTS]
    if unknown:
        raise ConfigurationError(
            f"--rollouts: {unknown[0]!r} is none; write some of {', '.join(ROLLOUTS)}"
        )
    return {name: ROLLOUTS[name] for name in names}


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


def policies_of(
    names: Iterable[str] | None, model: Path | str, is_replay: bool = False
) -> dict[str, PolicySettings]:
    """The named policies, in that order: built in, `yaml` for the model's own, or a file of what
    stands there. Without names, all that are built in; of a replay, the model's own first.

    Raises:
        ConfigurationError: a file cannot be read, or says what is no setting.
    """
    asked = names or [*([OF_MODEL] if is_replay else []), *POLICIES]
    return {name: POLICIES[name] if name in POLICIES else _of_file(name, model) for name in asked}


def _of_file(name: str, model: Path | str) -> PolicySettings:
    return load_model_settings(model).policy if name == OF_MODEL else load_policy_settings(name)
