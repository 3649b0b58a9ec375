"""YAML files to settings; an error is a sentence per wrong key, with what to write instead."""

from collections.abc import Hashable, Iterator
from pathlib import Path
from textwrap import shorten
from typing import Any, TypeVar, get_args

import yaml
from pydantic import ValidationError

from lakehouse.errors import ConfigurationError
from lakehouse.settings.base import Settings
from lakehouse.settings.model import EnvironmentSettings, ModelSettings
from lakehouse.settings.policy import PolicySettings

_GONE = {
    "margins": "is gone: write `gate: {first_gain: ...}` under policy; the rest has defaults",
    "training.folds": "is gone: rows are cross-fitted in five folds; leave it out",
    "training.sliding": "is gone: write `window` under counterfactual",
    "growth": "is gone: write `price`, the errors that a training must be expected to avoid",
    "combine": "is gone: any of the rules asks for a training; leave it out",
    "guards": "is gone: write `cool_down` in its place; a `scheduled` rule is the safety net",
    "candidates.newest": "is gone: write it as the first of `candidates.windows`",
    "candidates.new_weight": "is gone: new rows weigh three old ones; leave it out",
    "candidates.least_rows": "is gone: new rows alone are tried from 40 on; leave it out",
    "candidates.archived": "is gone: the five newest archived versions are tried; leave it out",
    "candidates.moving": "is gone: `candidates.windows` follow a change that goes on",
    "gate.first_right": "is gone: a first model must be right on a tenth of the rows; leave it out",
    "gate.suspicion_confidence": "is gone with `suspicion`; leave it out",
    "gate.moving_confidence": "is gone with `candidates.moving`; leave it out",
}
"""What earlier releases had, with what to write instead; `policy.` is left out of the keys."""
_MERGE = "tag:yaml.org,2002:merge"
_AS_TRUTH = "; YAML reads yes, no, on and off as true and false: put a word in quotes"
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
    """Return a model's `policy:` as a file of its own; errors as for `load_model_settings`."""
    return _load(PolicySettings, path)


class _Loader(yaml.SafeLoader):
    """YAML in which a key given twice is an error; the last one would win without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        places: dict[Any, int] = {}
        for key, _ in node.value:  # before what `<<` merges in, which may be given again
            if key.tag == _MERGE:
                continue
            name, line = self.construct_object(key, deep=True), key.start_mark.line + 1
            if not isinstance(name, Hashable):
                continue
            if name in places:
                raise _TwiceError(
                    f"{name}: is given twice, on lines {places[name]} and {line}; write it once"
                )
            places[name] = line
        return super().construct_mapping(node, deep)


class _TwiceError(Exception):
    """A key is given twice; the message names it."""


def _load(kind: type[S], path: Path | str) -> S:
    try:
        # Some editors begin a file with a byte order mark.
        content = yaml.load(Path(path).read_text(encoding="utf-8-sig"), _Loader)
    except OSError as error:
        raise ConfigurationError(
            f"{path}: cannot be read ({error.strerror}); name a YAML file that is there"
        ) from error
    except _TwiceError as error:
        raise ConfigurationError(f"{path}: {error}") from None
    # A date that does not exist is a ValueError.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    try:
        settings = kind.model_validate(content)
    except ValidationError as error:
        raise ConfigurationError(
            "\n".join(_sentence(path, kind, item) for item in _innermost(error))
        ) from error
    misread = list(_misread(content, settings))
    if misread:
        raise ConfigurationError(
            "\n".join(f"{path}: {key}: a number is meant here{_AS_TRUTH}" for key in misread)
        )
    return settings


def _misread(content: Any, settings: Any, place: str = "") -> Iterator[str]:
    """The keys of truth values that were taken for the numbers 0 and 1."""
    if isinstance(content, bool) and not isinstance(settings, bool):
        yield place
    elif isinstance(content, dict) and isinstance(settings, dict | Settings):
        for key, value in content.items():
            inner = (
                settings.get(key)
                if isinstance(settings, dict)
                else getattr(settings, str(key), None)
            )
            yield from _misread(value, inner, f"{place}.{key}".lstrip("."))
    elif isinstance(content, list) and isinstance(settings, list | tuple):
        for number, (value, inner) in enumerate(zip(content, settings, strict=False)):
            yield from _misread(value, inner, f"{place}.{number}")


def _innermost(error: ValidationError) -> list[Any]:
    """The errors without those of a block that is only wrong because something in it is."""
    errors = error.errors()
    blocks = {wrong["loc"][:depth] for wrong in errors for depth in range(len(wrong["loc"]))}
    return [item for item in errors if not item["loc"] or item["loc"] not in blocks]


def _sentence(path: Path | str, kind: type[Settings], item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"])
    gone = _GONE.get(key.removeprefix("policy."))
    if item["type"] == "extra_forbidden" and gone:
        return f"{path}: {key}: {gone}"
    if item["type"] == "extra_forbidden":
        keys = _known_keys(kind, item["loc"][:-1])
        return f"{path}: {key}: is not a setting; write one of {', '.join(keys)}, or delete it"
    if item["type"] == "missing":
        return f"{path}: {key}: is missing; write a value for it"
    message = item["msg"].removeprefix("Value error, ")
    given = ""
    # Where the name of a variable is meant, somebody may have written the secret itself.
    secret = str(item["loc"][-1] if item["loc"] else "").endswith("_from")
    if not isinstance(item["input"], dict | list) and not secret:
        given = f" (it says {shorten(repr(item['input']), 60)})"
    if isinstance(item["input"], bool):
        given += _AS_TRUTH
    return f"{path}: {key + ': ' if key else ''}{message}{given}"


def _known_keys(kind: type[Settings], location: tuple[int | str, ...]) -> list[str]:
    """The fields of the block at `location`, found by going down the annotations."""
    for part in location:
        field = kind.model_fields.get(str(part))
        annotation = field.annotation if field else kind
        for argument in (annotation, *get_args(annotation)):
            if isinstance(argument, type) and issubclass(argument, Settings):
                kind = argument
    return [field.alias or name for name, field in kind.model_fields.items()]
