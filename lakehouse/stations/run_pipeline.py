"""The whole way in one session, once or again and again."""

import time

from lakehouse.stations.aggregate_kpis import aggregate_kpis
from lakehouse.stations.ingest import ingest
from lakehouse.stations.lakehouse import Lakehouse
from lakehouse.stations.promotion import finish_alias_move
from lakehouse.stations.promotion_ledger import PromotionLedger
from lakehouse.stations.retrain_and_promote import retrain_and_promote
from lakehouse.stations.score import score
from lakehouse.stream import AVAILABLE_NOW, interval_seconds


def run_pipeline(lakehouse: Lakehouse, trigger: str = AVAILABLE_NOW) -> None:
    """Takes in, scores, aggregates, decides: once, or again after each interval."""
    seconds = interval_seconds(trigger)
    while True:
        _once(lakehouse)
        if seconds is None:
            return
        time.sleep(seconds)


def _once(lakehouse: Lakehouse) -> None:
    """One pass; a first model scores at once what has waited for it."""
    with lakehouse.store.writing(lakehouse.catalog.promotion):
        ledger = PromotionLedger(lakehouse)
        finish_alias_move(ledger)
    ingest(lakehouse, AVAILABLE_NOW)
    had_champion = ledger.champion is not None
    _score_and_aggregate(lakehouse)
    promoted = retrain_and_promote(lakehouse, AVAILABLE_NOW)
    if promoted and not had_champion:
        _score_and_aggregate(lakehouse)


def _score_and_aggregate(lakehouse: Lakehouse) -> None:
    score(lakehouse, AVAILABLE_NOW)
    aggregate_kpis(lakehouse, AVAILABLE_NOW)
