"""Decide, train, judge, promote: the loop over Delta tables and MLflow."""

import time

from lakehouse.instants import instant, moment_of
from lakehouse.labels.label_batch import newest_label
from lakehouse.models import problem_of
from lakehouse.retraining.loop import LoopContext, Night
from lakehouse.retraining.policy.history import reasons_of
from lakehouse.retraining.policy.triggers import unanswered
from lakehouse.retraining.promoted_models import PromotedModels
from lakehouse.retraining.requests import requests_at, set_aside
from lakehouse.retraining.rollout_night import advance
from lakehouse.retraining.spark_trainer import SparkTrainer
from lakehouse.retraining.table_ledger import TableLedger
from lakehouse.retraining.table_predictions import TablePredictions
from lakehouse.storage import queries
from lakehouse.storage.kept_rows import keep_rows
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.versions.promotion import finish_alias_move
from lakehouse.versions.rollouts import settle


def retrain_and_promote(lakehouse: Lakehouse, trigger: str) -> bool:
    """Decide as of the newest label batch, and act on it: once, or for ever at an interval.

    Returns:
        Whether a model was promoted (once).
    """
    seconds = queries.interval_seconds(trigger)
    while True:
        catalog = lakehouse.catalog
        tables = catalog.decision, catalog.promotion, catalog.rollout
        with lakehouse.store.writing(*tables):
            promoted = _step(lakehouse)
        keep_rows(lakehouse, *tables)
        if seconds is None:
            return promoted
        time.sleep(seconds)


def _step(lakehouse: Lakehouse) -> bool:
    """One night; nothing where no label has come yet."""
    ledger, model = TableLedger(lakehouse), lakehouse.model
    finish_alias_move(ledger.versions)
    if settle(ledger.versions, ledger.rollouts):
        ledger = TableLedger(lakehouse)
    asked = requests_at(lakehouse.landing)
    last = max((moment_of(entry.as_of) for entry in ledger.decisions), default=None)
    as_of = newest_label(ledger.versions, last)
    if as_of is None:
        return False
    if advance(ledger, as_of):  # what is in production, and on record, may be another now
        ledger = TableLedger(lakehouse)
    models = PromotedModels(ledger.versions)
    context = LoopContext(
        problem_of(model),
        model.policy,
        model.training.first_after,
        ledger,
        lambda history: TablePredictions(models, as_of, history),
        lambda decision, history: SparkTrainer(models, decision, as_of, history),
        asked,
        model.costs,
    )
    promoted = Night(instant(as_of), context).run()
    left = unanswered(asked, reasons_of(ledger.decisions))
    set_aside(lakehouse.landing, [request for request in asked if request not in left])
    return promoted
