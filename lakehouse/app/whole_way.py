"""The whole way in one session, once or without an end."""

from collections.abc import Callable
from contextlib import suppress

from lakehouse.alerts.notify import Notifier
from lakehouse.app.continuous import PASS_SECONDS, Streams, streaming
from lakehouse.app.memory import give_back_freed, share_one_allocator
from lakehouse.counterfactual.comparison import compare_with_alternatives
from lakehouse.dashboard.build import renew_page
from lakehouse.errors import LockedError, RegistryUnreachableError
from lakehouse.ingest.pipeline import ingest
from lakehouse.monitoring.aggregator import aggregate_kpis
from lakehouse.operations.recorder import Recorder, recorder_of
from lakehouse.retraining.retrain_and_promote import retrain_and_promote
from lakehouse.scoring.scorer import score
from lakehouse.storage.commits import record_commits
from lakehouse.storage.faults import as_told
from lakehouse.storage.kept_rows import keep_rows
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.log_check import begin_anew_where_commits_are_lost
from lakehouse.storage.queries import AVAILABLE_NOW, interval_seconds
from lakehouse.versions.ledger import PromotionLedger
from lakehouse.versions.promotion import finish_alias_move


def run_pipeline(
    lakehouse: Lakehouse, trigger: str = AVAILABLE_NOW, draws_page: bool = True
) -> None:
    """Take in, score, aggregate, decide, notify, renew the page: once, or without an end.

    With an interval, a first pass does all in turn. Then ingest, scoring and aggregation are
    streams that go on, and each further pass does the rest beside them.

    Args:
        lakehouse: whose files have landed.
        trigger: `available-now`, or an interval: news is on its way to a prediction within it.
        draws_page: False for one of many nights in a row, of which nobody looks at the page.
    """
    share_one_allocator()
    seconds, recorder = interval_seconds(trigger), recorder_of(lakehouse.store.root, "run_pipeline")
    _pass(lakehouse, recorder, draws_page, lambda: _once(lakehouse, recorder))
    if seconds is None:
        return
    with streaming(lakehouse, seconds) as streams:
        pause = max(seconds, PASS_SECONDS)
        while True:
            _pass(
                lakehouse,
                recorder,
                draws_page,
                lambda: _beside(lakehouse, recorder, streams, pause),
            )


def _pass(
    lakehouse: Lakehouse, recorder: Recorder, draws_page: bool, work: Callable[[], None]
) -> None:
    """Do a pass's work; then tell of it.

    A pass is on record before alerts are told and the page is renewed: they show it.
    """
    recorder.begin_pass(lakehouse.store.reports)
    try:
        work()
    except Exception as raised:
        error = as_told(raised)
        # What the tables tell by now is told; the error is the one to be shown.
        with suppress(Exception):
            recorder.fail_pass(error)
            _notify(lakehouse)
        raise error from error.__cause__
    recorder.end_pass()
    _notify(lakehouse)
    keep_rows(lakehouse)
    if draws_page:
        renew_page(lakehouse.store.root)
    give_back_freed()


def _once(lakehouse: Lakehouse, recorder: Recorder) -> None:
    """One pass; a first model scores at once what has waited for it."""
    with lakehouse.store.writing(lakehouse.catalog.promotion):
        ledger = PromotionLedger(lakehouse)
        # A move of the alias that was cut off is finished before anything is scored. The ledger
        # counts: without MLflow what needs no training goes on, and retraining tells of it.
        with suppress(RegistryUnreachableError):
            finish_alias_move(ledger)
    begin_anew_where_commits_are_lost(lakehouse)
    with recorder.phase("ingest"):
        ingest(lakehouse, AVAILABLE_NOW)
    had_champion = ledger.champion is not None
    _score_and_measure(lakehouse, recorder)
    with recorder.phase("retrain"):
        promoted = retrain_and_promote(lakehouse, AVAILABLE_NOW)
    if promoted and not had_champion:
        _score_and_measure(lakehouse, recorder)


def _beside(lakehouse: Lakehouse, recorder: Recorder, streams: Streams, pause: float) -> None:
    """One pass beside the streams: wait, then do what they leave to it."""
    try:
        streams.watch(pause)
    except Exception:
        streams.end()  # what the others still do is a part of the pass
        raise
    record_commits(lakehouse)
    with recorder.phase("compare"):
        compare_with_alternatives(lakehouse)
    with recorder.phase("retrain"):
        retrain_and_promote(lakehouse, AVAILABLE_NOW)
    streams.start_scoring()


def _notify(lakehouse: Lakehouse) -> None:
    """Tell of alerts; where another notifier is at work, that one does."""
    notifier = Notifier(lakehouse.store.root, lakehouse.model, lakehouse.catalog)
    with suppress(LockedError):
        notifier.notify()


def _score_and_measure(lakehouse: Lakehouse, recorder: Recorder) -> None:
    with recorder.phase("score"):
        score(lakehouse, AVAILABLE_NOW)
    with recorder.phase("aggregate"):
        aggregate_kpis(lakehouse, AVAILABLE_NOW)
    with recorder.phase("compare"):
        compare_with_alternatives(lakehouse)
