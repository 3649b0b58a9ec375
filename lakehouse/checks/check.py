"""The result of a test of a model."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from lakehouse.settings.checks import CheckName


@dataclass(frozen=True)
class Check:
    """What a test found; its attributes are fields of `checks` in `gold.promotion`.

    Attributes:
        name: of the test.
        passed: whether the model does what the test asks for.
        reason: what was found, in words.
        figure: what was measured; None where the test measures nothing.
        bound: what it may be at most or at least; None where there is none.
        demanded: whether nothing is promoted without it.
    """

    name: CheckName
    passed: bool
    reason: str
    figure: float | None = None
    bound: float | None = None
    demanded: bool = False


def demanding(checks: Iterable[Check], names: Iterable[CheckName]) -> tuple[Check, ...]:
    """The checks, those of these names demanded."""
    demanded = set(names)
    return tuple(replace(check, demanded=check.name in demanded) for check in checks)


def refusal_of(checks: Iterable[Check]) -> str | None:
    """Why nothing may be promoted: the demanded tests that failed, in words; None if none."""
    failed = [check for check in checks if check.demanded and not check.passed]
    if not failed:
        return None
    words = "; ".join(f"{check.name.replace('_', ' ')}: {check.reason}" for check in failed)
    return f"it fails what `policy.checks` demands: {words}"
