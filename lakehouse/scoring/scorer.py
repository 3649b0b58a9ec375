"""New silver rows to predictions, by the champion of when their micro-batch was first tried."""

import datetime as dt
import logging
import time
from functools import cache

import pyarrow.compute as pc
from pyspark.sql import DataFrame

from lakehouse.errors import RegistryError, RegistryUnreachableError
from lakehouse.rollouts.state import Rollout
from lakehouse.rollouts.verdict import Scored
from lakehouse.scoring.binding import Binding
from lakehouse.scoring.promoted import scoring_model
from lakehouse.scoring.rollout_checks import abort_if_scoring_says_so, abort_unusable
from lakehouse.scoring.transforms import ScoringModel
from lakehouse.scoring.written import Answers
from lakehouse.settings.reserved import POSITION
from lakehouse.storage import queries
from lakehouse.storage.commits import record_commits
from lakehouse.storage.kept_rows import keep_rows
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.log_check import check_newest
from lakehouse.storage.partitions import covering_keys_of
from lakehouse.storage.queries import Batch
from lakehouse.tables import Table
from lakehouse.versions.feature_columns import sources_of, with_features
from lakehouse.versions.ledger import PromotionLedger
from lakehouse.versions.rollouts import RolloutLedger, valid_rollout

QUERY = "score"
_LOG = logging.getLogger(__name__)


class Scorer:
    """The handler of scoring's micro-batches."""

    def __init__(self, lakehouse: Lakehouse, keeps_records: bool = True) -> None:
        """Load nothing yet: a version is fetched and verified when a batch first needs it.

        Args:
            lakehouse: whose rows are scored.
            keeps_records: whether each micro-batch puts its commit on record, and keeps its rows of
                ledgers; False where the caller does so now and then.
        """
        self._lakehouse, self._keeps_records = lakehouse, keeps_records
        self._handled: tuple[str, int] | None = None
        self._has_older_query = False
        self._model = cache(lambda version: scoring_model(PromotionLedger(lakehouse), version))

    def handle(self, rows: DataFrame, batch: Batch) -> None:
        """Resolve the batch's version, score its rows, append them, and record the cost."""
        began = time.monotonic()
        catalog = self._lakehouse.catalog
        binding = self._recorded(batch) or self._resolve(batch)
        # Only rows that an older checkpoint has read can be scored already.
        if self._has_older_query:
            rows = self._without_scored(rows)
        n_rows, scored = self.predict(rows, batch, binding)
        self._record_cost(batch, binding, n_rows, time.monotonic() - began, scored)
        if scored is not None:
            abort_if_scoring_says_so(self._lakehouse, binding)
        if self._keeps_records:
            record_commits(self._lakehouse, catalog.predictions)
            ledgers = (catalog.scoring_ledger, catalog.scoring_cost, catalog.unscorable)
            keep_rows(self._lakehouse, *ledgers)
        self._handled = (batch.query_id, batch.number)

    def predict(self, rows: DataFrame, batch: Batch, binding: Binding) -> tuple[int, Scored | None]:
        """Append the predictions of a batch's rows, once however often it is tried.

        Args:
            rows: readings.
            batch: that they are of.
            binding: to its versions.

        Returns:
            How many predictions there are, and how the challenger did; None without one.
        """
        answers, champion = Answers(self._lakehouse, batch), self._model(binding.version)
        if binding.challenger is None:
            return answers.write(self._inputs(rows, champion), champion), None
        challenger = self._challenger(binding)
        inputs = self._inputs(rows, *filter(None, (champion, challenger)))
        models = champion, challenger
        return answers.write_two(inputs, models, binding, self._has_older_query)

    def _challenger(self, binding: Binding) -> ScoringModel | None:
        """The challenger; None where its file could be had at the batch's first try, and cannot
        now.
        """
        try:
            return self._model(str(binding.challenger))
        except (RegistryError, RegistryUnreachableError) as error:
            _LOG.warning("the challenger answers nothing of this batch: %s", error)
            return None

    def _record_cost(
        self, batch: Batch, binding: Binding, n_rows: int, seconds: float, scored: Scored | None
    ) -> None:
        """Once for each batch; the seconds of a batch that was cut off are its replay's."""
        catalog, store = self._lakehouse.catalog, self._lakehouse.store
        batch.count(rows_out=n_rows)
        row = {
            "query_id": batch.query_id,
            "batch_id": batch.number,
            "model_version": binding.version,
            "rows": n_rows,
            "seconds": round(seconds, 3),
            "recorded_at": dt.datetime.now(dt.UTC),
        }
        if scored is not None:
            row |= {"rollout_id": binding.rollout_id, "challenger_rows": scored.rows}
            row |= {"challenger_errors": scored.errors}
            row |= {"challenger_disagreements": scored.disagreements}
            row |= {"challenger_seconds": scored.seconds}
        store.append_rows([row], catalog.scoring_cost, batch.transaction(catalog.scoring_cost))

    def _recorded(self, batch: Batch) -> Binding | None:
        """What the batch was bound to when it was tried before; None for a new one.

        A batch that follows one of this handler is new: the ledger need not be read.
        """
        if self._handled == (batch.query_id, batch.number - 1):
            return None
        query_id, number = pc.field("query_id"), pc.field("batch_id")
        mine = (query_id == batch.query_id) & (number == batch.number)
        # Each query begins with batch 0, whose row stands for the query.
        other = (query_id != batch.query_id) & (number == 0)
        seen = self._lakehouse.store.rows(self._lakehouse.catalog.scoring_ledger, mine | other)
        own = [Binding.of_row(row) for row in seen if row["query_id"] == batch.query_id]
        self._has_older_query = len(seen) > len(own)
        return own[0] if own else None

    def _resolve(self, batch: Batch) -> Binding:
        version = PromotionLedger(self._lakehouse).champion
        if version is None:
            raise RegistryError(
                f"{self._lakehouse.model.name} has no champion any more; its rows wait for one"
            )
        # Before the ledger's row: a batch that names a refused file could never be scored.
        self._model(version)
        binding = Binding.to(version, self._rollout(version))
        catalog, store = self._lakehouse.catalog, self._lakehouse.store
        row = {
            "query_id": batch.query_id,
            "batch_id": batch.number,
            **binding.columns,
            "resolved_at": dt.datetime.now(dt.UTC),
            "table_versions": store.versions(catalog.readings),
        }
        store.append_rows([row], catalog.scoring_ledger)
        return binding

    def _rollout(self, champion: str) -> Rollout | None:
        """The rollout that runs against the champion; one whose version is refused is aborted.

        While MLflow does not answer, rows are scored by the champion alone.
        """
        rollout = valid_rollout(RolloutLedger(self._lakehouse), champion)
        if rollout is None:
            return None
        try:
            self._model(rollout.challenger)
        except RegistryUnreachableError as error:
            _LOG.warning("the challenger is not asked: %s", error)
            return None
        except RegistryError as error:
            abort_unusable(self._lakehouse, rollout, str(error))
            return None
        return rollout

    def _without_scored(self, rows: DataFrame) -> DataFrame:
        """Leave out what an older checkpoint has scored: a piece has one production prediction, or
        a word that it can have none.
        """
        key, catalog, store = (
            self._lakehouse.model.key,
            self._lakehouse.catalog,
            self._lakehouse.store,
        )
        predicted = store.read(catalog.predictions).select(key)
        unscorable = store.read(catalog.unscorable).select("landed_file_id", "line")
        rows = rows.join(predicted.where(covering_keys_of(rows, key)), key, "left_anti")
        return rows.join(unscorable, ["landed_file_id", "line"], "left_anti")

    def _inputs(self, rows: DataFrame, *models: ScoringModel) -> DataFrame:
        """The columns that the versions or the settings read, and each row's position."""
        settings, catalog = self._lakehouse.model, self._lakehouse.catalog
        read = (name for model in models for name in model.features.names)
        names = dict.fromkeys([*settings.predictions.features, *read])
        sources = sources_of(PromotionLedger(self._lakehouse), catalog.readings, names)
        return with_features(rows, sources, [settings.key, settings.event_time, *POSITION])


def score(lakehouse: Lakehouse, trigger: str) -> None:
    """Score what silver has and predictions lack, once or for ever; wait for a first model."""
    seconds = queries.interval_seconds(trigger)
    with lakehouse.store.writing(*written_by_scoring(lakehouse)):
        check_newest(lakehouse)
        # Rows wait in silver: the stream begins with the table's first row.
        while PromotionLedger(lakehouse).champion is None:
            if seconds is None:
                return
            time.sleep(seconds)
        queries.run_all([start_scoring(lakehouse, trigger, Scorer(lakehouse))], trigger)


def written_by_scoring(lakehouse: Lakehouse) -> tuple[Table, ...]:
    """The tables that scoring writes."""
    catalog = lakehouse.catalog
    return (
        catalog.scoring_ledger,
        catalog.predictions,
        catalog.shadow_predictions,
        catalog.unscorable,
        catalog.scoring_cost,
    )


def start_scoring(lakehouse: Lakehouse, trigger: str | float, scorer: Scorer) -> queries.Query:
    """Start the stream of scoring. There is a champion, and the caller holds the right to write."""
    catalog, store = lakehouse.catalog, lakehouse.store
    readings, sinks = store.read_stream(catalog.readings), [queries.Sink(catalog.predictions)]
    return queries.run(store, QUERY, readings, scorer.handle, trigger, sinks)
