"""How far a share of few rows may lie from that of many."""

_Z = 1.959963984540054  # the normal distribution's quantile for a 95 % interval


def wilson_interval(share: str, n: str) -> tuple[str, str]:
    """SQL of the 95 % interval of a share of n rows (Wilson 1927, JASA 22, p. 209); NULL at n = 0.

    Returns:
        SQL of the lower and of the upper bound: exactly 0 at a share of 0, and 1 at a share of 1.
    """
    rows, squared = f"NULLIF({n}, 0)", _Z * _Z
    centre = f"{share} + {squared / 2!r} / {rows}"
    margin = f"{_Z!r} * SQRT({share} * (1 - {share}) / {rows} + {squared / 4!r} / {rows} / {rows})"
    scale = f"(1 + {squared!r} / {rows})"
    return (
        f"CASE WHEN {share} = 0 THEN CAST(0 AS DOUBLE) ELSE ({centre} - {margin}) / {scale} END",
        f"CASE WHEN {share} = 1 THEN CAST(1 AS DOUBLE) ELSE ({centre} + {margin}) / {scale} END",
    )
