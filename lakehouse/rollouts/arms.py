"""The arm of a key: a pure function of the rollout and the key, the same in Python and in SQL.

A key's place in a rollout is `int(sha256("<rollout>|<key>")[:13], 16) / 2^52`: uniform in [0, 1),
and independent of its place in any other rollout. The challenger answers keys whose place is below
its share, so that who is in at 5 % is in at 25 %, too.
"""

import re
from hashlib import sha256

from lakehouse.errors import ConfigurationError

_DIGITS = 13
"""Of the digest: 52 bits, which a double holds exactly."""
_PLACES = 2**52
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


def place_of(rollout_id: str, key: object) -> float:
    """A key's place in a rollout, in [0, 1).

    >>> round(place_of("glassware-7-1", 107987), 6)
    0.442176
    """
    digest = sha256(f"{rollout_id}|{key}".encode()).hexdigest()
    return int(digest[:_DIGITS], 16) / _PLACES


def answers(rollout_id: str, key: object, share: float) -> bool:
    """Whether the challenger answers a key in production; else the champion does."""
    return place_of(rollout_id, key) < share


def spark_sql(rollout_id: str, key: str, share: float) -> str:
    """`answers` in Spark's SQL.

    Args:
        rollout_id: of the rollout.
        key: the column's name.
        share: of the challenger.
    """
    digest = f"sha2(concat('{_checked(rollout_id)}|', cast(`{key}` AS string)), 256)"
    number = f"cast(conv(substring({digest}, 1, {_DIGITS}), 16, 10) AS double)"
    return f"({number} / {_PLACES}D < {share!r}D)"


def duckdb_sql(rollout_id: str, key: str, share: float) -> str:
    """`answers` in DuckDB's SQL; for the arguments see `spark_sql`."""
    digest = f"sha256('{_checked(rollout_id)}|' || cast(\"{key}\" AS varchar))"
    number = f"cast('0x' || substring({digest}, 1, {_DIGITS}) AS bigint)"
    return f"(cast({number} AS double) / {_PLACES} < {share!r})"


def _checked(rollout_id: str) -> str:
    if not _ID.fullmatch(rollout_id):
        raise ConfigurationError(
            f"{rollout_id!r} is no rollout's id: letters, digits, underscores and hyphens"
        )
    return rollout_id
