"""Decide, train, judge, promote: each step on record before the next, so that a run that was cut off goes on."""

import time

from lakehouse import stream
from lakehouse.stations.lakehouse import Lakehouse
from lakehouse.stations.margin_loop import step_by_margins
from lakehouse.stations.policy_loop import step_by_policy
from lakehouse.stations.promotion import finish_alias_move


def retrain_and_promote(lakehouse: Lakehouse, trigger: str) -> bool:
    """Decides as of the newest label batch, and acts on it: once, or for ever at an interval.

    A classification model is under the policy (`policy:` in its YAML), a regression under its margins.

    Returns:
        Whether a model was promoted (once).
    """
    seconds = stream.interval_seconds(trigger)
    step = step_by_margins if lakehouse.model.is_regression else step_by_policy
    while True:
        with lakehouse.store.writing(lakehouse.catalog.decision, lakehouse.catalog.promotion):
            finish_alias_move(lakehouse)
            promoted = step(lakehouse)
        if seconds is None:
            return promoted
        time.sleep(seconds)
