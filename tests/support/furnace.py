"""History features of the glass works, as its furnace needs them."""

from typing import Any

MAINTENANCE: dict[str, Any] = {
    "key": "job",
    "time": "ended_at",
    "columns": {"job": {"type": "long"}, "ended_at": {"type": "timestamp"}},
}


def history(last_maintenance_within: str) -> dict[str, Any]:
    """`history:` with the mean temperature of the hour before, and the time since a maintenance."""
    since = {"what": "seconds_since", "table": "maintenance", "over": last_maintenance_within}
    return {
        "tables": {"maintenance": MAINTENANCE},
        "features": {
            "temp_mean_1h": {"what": "mean", "of": "temp", "over": "60 minutes"},
            "since_maintenance": since,
        },
    }
