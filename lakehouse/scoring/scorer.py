"""New silver rows to predictions, by the champion of when their micro-batch was first tried."""

import datetime as dt
import logging
import time
from dataclasses import replace
from functools import cache

import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.errors import RegistryError, RegistryUnreachableError
from lakehouse.models import Meaning, Regression, difference_of, load
from lakehouse.rollouts.state import Rollout
from lakehouse.rollouts.verdict import Scored
from lakehouse.scoring.binding import Binding
from lakehouse.scoring.rollout_checks import abort_if_scoring_says_so, abort_unusable
from lakehouse.scoring.transforms import ScoringModel, with_prediction
from lakehouse.scoring.two_arms import TwoArms, with_two_answers
from lakehouse.settings.reserved import POSITION, PREDICTION
from lakehouse.storage import queries
from lakehouse.storage.commits import record_commits
from lakehouse.storage.kept_rows import keep_rows
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.log_check import check_newest
from lakehouse.storage.partitions import covering_keys_of
from lakehouse.storage.queries import Batch
from lakehouse.storage.store import Row
from lakehouse.versions.feature_columns import sources_of, with_features
from lakehouse.versions.ledger import PromotionLedger
from lakehouse.versions.rollouts import RolloutLedger, valid_rollout

QUERY = "score"
_LOG = logging.getLogger(__name__)
_scored_with: dict[str, bytes] = {}  # by their digests: files of versions that scored here last
_MOST_KEPT = 2  # champion and challenger


class Scorer:
    """The handler of scoring's micro-batches."""

    def __init__(self, lakehouse: Lakehouse) -> None:
        """Load nothing yet: a version is fetched and verified when a batch first needs it."""
        self._lakehouse = lakehouse
        self._model = cache(lambda version: scoring_model(PromotionLedger(lakehouse), version))

    def handle(self, rows: DataFrame, batch: Batch) -> None:
        """Resolve the batch's version, score its rows, append them, and record the cost."""
        began = time.monotonic()
        catalog = self._lakehouse.catalog
        seen = self._seen_in_ledger(batch)
        mine = [row for row in seen if row["query_id"] == batch.query_id]
        binding = Binding.of_row(mine[0]) if mine else self._resolve(batch)
        # Only rows that an older checkpoint has read can be scored already.
        is_new_checkpoint = len(seen) > len(mine)
        if is_new_checkpoint:
            rows = self._without_scored(rows)
        scored = self.predict(rows, batch, binding, is_new_checkpoint)
        self._record_cost(batch, binding, time.monotonic() - began, scored)
        if scored is not None:
            abort_if_scoring_says_so(self._lakehouse, binding)
        record_commits(self._lakehouse, catalog.predictions)
        keep_rows(self._lakehouse, catalog.scoring_ledger, catalog.scoring_cost, catalog.unscorable)

    def predict(
        self, rows: DataFrame, batch: Batch, binding: Binding, is_new_checkpoint: bool = False
    ) -> Scored | None:
        """Append the predictions of a batch's rows, once however often it is tried.

        Args:
            rows: readings.
            batch: that they are of.
            binding: to its versions.
            is_new_checkpoint: whether an older one may have left rows in the shadow table.

        Returns:
            How the challenger did; None without one.
        """
        model = self._model(binding.version)
        if binding.challenger is not None:
            return self._predict_twice(rows, batch, binding, is_new_checkpoint)
        inputs = self._inputs(rows, model)
        predicted = with_prediction(inputs, model, prediction_type(self._lakehouse))
        # Only sums of products may overflow.
        self._append(predicted, batch, may_be_unscorable=model.is_linear)
        return None

    def _predict_twice(
        self, rows: DataFrame, batch: Batch, binding: Binding, is_new_checkpoint: bool
    ) -> Scored:
        """Append the answers of both versions: production's first, then the others."""
        champion, challenger = self._model(binding.version), self._challenger(binding)
        inputs = self._inputs(rows, champion, *filter(None, [challenger]))
        settings = self._lakehouse.model
        kind, tolerance = prediction_type(self._lakehouse), settings.predictions.tolerance
        models = champion, challenger
        two = with_two_answers(inputs, models, binding, settings.key, kind, tolerance)
        two = replace(two, rows=two.rows.persist())  # the models are to run once
        try:
            self._append(two.production(inputs.columns), batch, champion.is_linear)
            self._append_shadow(two, batch, binding, is_new_checkpoint)
            return two.scored()
        finally:
            two.rows.unpersist()

    def _append(self, predicted: DataFrame, batch: Batch, may_be_unscorable: bool) -> None:
        catalog, store = self._lakehouse.catalog, self._lakehouse.store
        stamped = _stamped(predicted, batch)
        if may_be_unscorable:
            # Two tables are written of the rows; the model is to run once.
            stamped = stamped.persist()
            self._record_unscorable(stamped.where(F.col(PREDICTION).isNull()), batch)
        answered = stamped.where(F.col(PREDICTION).isNotNull())
        store.append(answered, catalog.predictions, batch.transaction(catalog.predictions))
        stamped.unpersist()

    def _append_shadow(
        self, two: TwoArms, batch: Batch, binding: Binding, is_new_checkpoint: bool
    ) -> None:
        model, table = self._lakehouse.model, self._lakehouse.catalog.shadow_predictions
        shadow = two.shadow([model.key, model.event_time])
        if is_new_checkpoint:
            known = self._lakehouse.store.read(table).select(model.key)
            near = covering_keys_of(two.rows, model.key)
            shadow = shadow.join(known.where(near), model.key, "left_anti")
        stamped = _stamped(shadow, batch).withColumn("rollout_id", F.lit(binding.rollout_id))
        self._lakehouse.store.append(stamped, table, batch.transaction(table))

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
        self, batch: Batch, binding: Binding, seconds: float, scored: Scored | None
    ) -> None:
        """Once for each batch; the seconds of a batch that was cut off are its replay's."""
        catalog, store = self._lakehouse.catalog, self._lakehouse.store
        # The newest commit is the batch's, or its replay's.
        n_rows = store.rows_appended(catalog.predictions)
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

    def _seen_in_ledger(self, batch: Batch) -> list[Row]:
        """This batch's row, if it was tried before, and the first row of any older query."""
        query_id, number = pc.field("query_id"), pc.field("batch_id")
        mine = (query_id == batch.query_id) & (number == batch.number)
        # Each query begins with batch 0, whose row stands for the query.
        other = (query_id != batch.query_id) & (number == 0)
        return self._lakehouse.store.rows(self._lakehouse.catalog.scoring_ledger, mine | other)

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

    def _record_unscorable(self, rows: DataFrame, batch: Batch) -> None:
        if not rows.isEmpty():
            key, table = F.col(self._lakehouse.model.key), self._lakehouse.catalog.unscorable
            named = rows.withColumn("key", key.cast("string"))
            self._lakehouse.store.append(named, table, batch.transaction(table))
            batch.count(rows_rejected=self._lakehouse.store.rows_appended(table))


def _stamped(rows: DataFrame, batch: Batch) -> DataFrame:
    return rows.withColumns(
        {"query_id": F.lit(batch.query_id), "batch_id": F.lit(batch.number).cast("bigint")}
    )


def prediction_type(lakehouse: Lakehouse) -> str:
    """Spark's type of a prediction."""
    return lakehouse.catalog.predictions.schema["prediction"].dataType.simpleString()


def scoring_model(ledger: PromotionLedger, version: str) -> ScoringModel:
    """A version that was promoted here, verified, and ready to be sent to workers.

    Raises:
        RegistryError: it was never promoted, or its file or its columns are not those on record.
    """
    lakehouse = ledger.lakehouse
    sha256 = ledger.sha256(version)
    content = _content(ledger, version, sha256)
    meaning, pipeline = ledger.meaning(version), load(content, sha256)
    _scored_with.pop(sha256, None)
    _scored_with[sha256] = content
    for older in list(_scored_with)[:-_MOST_KEPT]:
        del _scored_with[older]
    # Refused here, it is one sentence; refused by a worker, it would be a stack trace.
    difference = difference_of(pipeline, meaning.features, meaning.problem) or _of_another_kind(
        lakehouse, meaning
    )
    if difference:
        raise RegistryError(
            f"{lakehouse.model.name} version {version} cannot score: {difference}; roll back, or "
            "put the settings back"
        )
    sent = lakehouse.spark.sparkContext.broadcast(content)
    return ScoringModel(
        version, sha256, sent, meaning.features, meaning.problem, hasattr(pipeline[-1], "coef_")
    )


def _content(ledger: PromotionLedger, version: str, sha256: str) -> bytes:
    """The version's file; while MLflow does not answer, the one that scored here last."""
    try:
        return ledger.model_file(version)
    except RegistryUnreachableError:
        if sha256 not in _scored_with:
            raise
        return _scored_with[sha256]


def _of_another_kind(lakehouse: Lakehouse, meaning: Meaning) -> str | None:
    if isinstance(meaning.problem, Regression) == lakehouse.model.is_regression:
        return None
    return (
        "the settings are of another problem type, which needs a lakehouse of its own (another "
        "root)"
    )


def score(lakehouse: Lakehouse, trigger: str) -> None:
    """Score what silver has and predictions lack, once or for ever; wait for a first model."""
    catalog, store = lakehouse.catalog, lakehouse.store
    seconds = queries.interval_seconds(trigger)
    with store.writing(
        *(catalog.scoring_ledger, catalog.predictions, catalog.shadow_predictions),
        *(catalog.unscorable, catalog.scoring_cost),
    ):
        check_newest(lakehouse)
        # Rows wait in silver: the stream begins with the table's first row.
        while PromotionLedger(lakehouse).champion is None:
            if seconds is None:
                return
            time.sleep(seconds)
        readings, sinks = store.read_stream(catalog.readings), [queries.Sink(catalog.predictions)]
        query = queries.run(store, QUERY, readings, Scorer(lakehouse).handle, trigger, sinks)
        queries.run_all([query], trigger)
