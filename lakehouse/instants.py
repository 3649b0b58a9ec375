"""Moments as numpy and Arrow have them: UTC, microseconds; numpy has no time zone."""

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

ARROW_MOMENT = pa.timestamp("us", "UTC")
"""Arrow's type of a moment in every table."""


def instant(moment: dt.datetime) -> np.datetime64:
    """A moment with a time zone as the policy has it: UTC, microseconds."""
    return np.datetime64(moment.astimezone(dt.UTC).replace(tzinfo=None), "us")


def instants(times: Any) -> np.ndarray:
    """Times with a time zone, as pandas or Arrow has them: UTC, microseconds."""
    series = pd.Series(times.to_pandas() if isinstance(times, pa.ChunkedArray) else times)
    return series.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy().astype("datetime64[us]")


def moment_of(instant: np.datetime64) -> dt.datetime:
    """The inverse of `instant`."""
    moment: dt.datetime = instant.astype("datetime64[us]").item()
    return moment.replace(tzinfo=dt.UTC)
