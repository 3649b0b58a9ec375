"""Rows that an endpoint answered by another version than they were scored by."""

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.instants import ARROW_MOMENT
from lakehouse.settings.reserved import SERVED, SERVED_FOLDER
from lakehouse.storage.lakehouse import Lakehouse

_SLACK = dt.timedelta(minutes=1)
"""Between the clock of a row of a ledger and that of a landed file."""


def answered_otherwise(
    lakehouse: Lakehouse, production: pd.DataFrame, since: dt.datetime
) -> np.ndarray:
    """Return the mask of the rows that somebody was told another version's answer of.

    Around a step of a rollout a row may be answered before it, and scored after it. So may one be
    whose challenger had no answer at the endpoint.

    Args:
        lakehouse: whose rows.
        production: rows with key and `model_version`.
        since: wall-clock time; what landed before is not looked at.
    """
    told = _versions_told(lakehouse, since)
    pairs = zip(production[lakehouse.model.key], production["model_version"], strict=True)
    mask = [bool(told.get(str(key), set()) - {version}) for key, version in pairs]
    return np.array(mask, dtype=bool)


def _versions_told(lakehouse: Lakehouse, since: dt.datetime) -> Mapping[str, set[str]]:
    """The versions that answered each key, of the lines of endpoints."""
    model = lakehouse.model
    landed = pa.scalar(since - _SLACK, ARROW_MOMENT)
    folder = f"{model.readings.table}/{SERVED_FOLDER}/"
    where = pc.starts_with(pc.field("source_file"), folder) & (pc.field("landed_at") >= landed)
    lines = lakehouse.store.arrow(lakehouse.catalog.bronze_readings, where, ["raw"])
    told: dict[str, set[str]] = defaultdict(set)
    path = model.readings.path_of(model.key)
    for raw in lines["raw"].to_pylist():
        with suppress(ValueError, RecursionError):  # somebody else's line, in quarantine
            document = json.loads(raw)
            told[str(_at(document, path))].add(str(_at(document, (SERVED, "version"))))
    return told


def _at(document: Any, path: tuple[str, ...]) -> Any:
    """What stands at a place in a line; None where there is none."""
    for step in path:
        document = document.get(step) if isinstance(document, dict) else None
    return document
