"""YAML files to settings; an error is one sentence for each key that is wrong, with what to write instead."""

from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import ValidationError

from lakehouse.errors import ConfigurationError
from lakehouse.settings.base import Settings
from lakehouse.settings.model import EnvironmentSettings, ModelSettings
from lakehouse.settings.policy import PolicySettings

S = TypeVar("S", bound=Settings)


def load_model_settings(path: Path | str) -> ModelSettings:
    """The model of a YAML file.

    Raises:
        ConfigurationError: one line for each key that is wrong, with what to write instead.
    """
    return _load(ModelSettings, path)


def load_environment_settings(path: Path | str) -> EnvironmentSettings:
    """The environment of a YAML file; errors as for `load_model_settings`."""
    return _load(EnvironmentSettings, path)


def load_policy_settings(path: Path | str) -> PolicySettings:
    """What stands under `policy:` in a model's file, as a file of its own; errors as for `load_model_settings`."""
    return _load(PolicySettings, path)


def _load(kind: type[S], path: Path | str) -> S:
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"{path}: cannot be read ({error.strerror}); name a YAML file that is there"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: is not YAML: {error}") from error
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise ConfigurationError("\n".join(_sentence(path, kind, item) for item in _innermost(error))) from error


def _innermost(error: ValidationError) -> list[Any]:
    """The errors without those of a block that is only wrong because something in it is."""
    found = error.errors()
    blocks = {each["loc"][:depth] for each in found for depth in range(len(each["loc"]))}
    return [item for item in found if not item["loc"] or item["loc"] not in blocks]


def _sentence(path: Path | str, kind: type[Settings], item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        known = _known_keys(kind, item["loc"][:-1])
        return f"{path}: {key}: is not a setting; write one of {', '.join(known)}, or delete it"
    if item["type"] == "missing":
        return f"{path}: {key}: is missing; write a value for it"
    message = item["msg"].removeprefix("Value error, ")
    given = "" if isinstance(item["input"], dict | list) else f" (it says {item['input']!r})"
    return f"{path}: {key + ': ' if key else ''}{message}{given}"


def _known_keys(kind: type[Settings], location: tuple[int | str, ...]) -> list[str]:
    """The fields of the block at `location`, found by going down the annotations."""
    for part in location:
        field = kind.model_fields.get(str(part))
        annotation = field.annotation if field else kind
        for argument in (annotation, *get_args(annotation)):
            if isinstance(argument, type) and issubclass(argument, Settings):
                kind = argument
    return list(kind.model_fields)
