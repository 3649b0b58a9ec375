"""What every block of settings has in common: strict keys, and the types of single values."""

import datetime as dt
import math
import re
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from lakehouse.calendar import parse_span

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def checked_name(name: str) -> str:
    """The name, if it can be one of a table or a column."""
    if not _NAME.fullmatch(name):
        raise ValueError("write lower-case letters, digits and underscores, starting with a letter")
    return name


def _checked_utc(moment: dt.datetime) -> dt.datetime:
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)


def checked_once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values, if no two are the same, or have the same name."""
    names = [getattr(value, "name", value) for value in values]
    twice = dict.fromkeys(str(name) for place, name in enumerate(names) if name in names[:place])
    if twice:
        raise ValueError(f"{', '.join(twice)} stands there more than once; write each once")
    return values


def _checked_scalar(given: Any) -> Any:
    if isinstance(given, float) and not math.isfinite(given):
        raise ValueError("write a finite number")
    if not isinstance(given, bool | int | float | str):
        raise ValueError(
            "write a number, a truth value or a text (dates and words such as yes in quotes)"
        )
    return given


def _checked_path(given: Any) -> tuple[str, ...]:
    steps = given.split(".") if isinstance(given, str) else given
    if (
        not isinstance(steps, list | tuple)
        or not steps
        or not all(isinstance(step, str) and step for step in steps)
    ):
        raise ValueError(
            "write the name of a field, names with dots between them, or a list of names"
        )
    return tuple(steps)


def _checked_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            "write a time zone of the IANA database, such as `Europe/Berlin`"
        ) from None
    return name


Name = Annotated[str, AfterValidator(checked_name)]
Span = Annotated[dt.timedelta, BeforeValidator(parse_span)]
Moment = Annotated[dt.datetime, AfterValidator(_checked_utc)]
FieldPath = Annotated[tuple[str, ...], BeforeValidator(_checked_path)]
ZoneName = Annotated[str, AfterValidator(_checked_zone)]
Scalar = Annotated[bool | int | float | str, BeforeValidator(_checked_scalar)]
ColumnType = Literal["long", "integer", "double", "boolean", "string", "timestamp"]


class Settings(BaseModel):
    """What every block of settings shares: it is frozen, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
