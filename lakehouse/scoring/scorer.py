"""New silver rows to predictions, by the champion of when their micro-batch was first tried."""

import datetime as dt
import time
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_type

from lakehouse.errors import RegistryError, RegistryUnreachableError
from lakehouse.models import Meaning, Regression, difference_of, load
from lakehouse.scoring.small_batches import is_small, predicted_rows
from lakehouse.scoring.transforms import ScoringModel, with_prediction
from lakehouse.settings.reserved import POSITION, PREDICTION
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

QUERY = "score"
_scored_with: dict[str, bytes] = {}  # by its digest: the file of the version that scored here last


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
        version = self._recorded_version(batch) or self._resolve(batch)
        # Only rows that an older checkpoint has read can be scored already.
        if self._has_older_query:
            rows = self._without_scored(rows)
        n_rows = self.predict(rows, batch, version)
        if n_rows is None:
            # The newest commit is the batch's, or its replay's.
            n_rows = self._lakehouse.store.rows_appended(catalog.predictions)
        self._record_cost(batch, version, n_rows, time.monotonic() - began)
        if self._keeps_records:
            record_commits(self._lakehouse, catalog.predictions)
            ledgers = (catalog.scoring_ledger, catalog.scoring_cost, catalog.unscorable)
            keep_rows(self._lakehouse, *ledgers)
        self._handled = (batch.query_id, batch.number)

    def predict(self, rows: DataFrame, batch: Batch, version: str) -> int | None:
        """Append the version's predictions of a batch's rows, once however often it is tried.

        Returns:
            How many they are; None where only the table tells.
        """
        model = self._model(version)
        inputs = self._inputs(rows, model)
        if set(inputs.columns) <= {*self._declared, *POSITION} and is_small(inputs):
            return self._predict_here(inputs.toArrow(), model, batch)
        return self._predict_by_workers(inputs, model, batch)

    @property
    def _declared(self) -> list[str]:
        """The columns that the settings name; the driver writes no others."""
        return list(self._lakehouse.catalog.predictions.schema.names)

    def _predict_here(self, rows: pa.Table, model: ScoringModel, batch: Batch) -> int:
        catalog, store = self._lakehouse.catalog, self._lakehouse.store
        transaction = batch.transaction(catalog.predictions)
        if store.has(transaction, catalog.predictions):
            # A replay; its rows may have been left out as scored by now.
            of_batch = pc.field("query_id") == batch.query_id
            of_batch &= pc.field("batch_id") == batch.number
            return store.count(catalog.predictions, of_batch)
        if not len(rows):
            return 0
        kind = to_arrow_type(catalog.predictions.schema[PREDICTION].dataType)
        predicted, unscorable = (
            _stamped(each, batch) for each in predicted_rows(rows, model, kind)
        )
        keys = unscorable[self._lakehouse.model.key].cast(pa.string())
        unscorable = unscorable.append_column("key", keys)
        store.append_arrow(unscorable, catalog.unscorable, batch.transaction(catalog.unscorable))
        batch.count(rows_rejected=len(unscorable))
        store.append_arrow(predicted, catalog.predictions, transaction)
        return len(predicted)

    def _predict_by_workers(
        self, inputs: DataFrame, model: ScoringModel, batch: Batch
    ) -> int | None:
        catalog, store = self._lakehouse.catalog, self._lakehouse.store
        scored = with_prediction(inputs, model, prediction_type(self._lakehouse))
        stamped = scored.withColumns(
            {"query_id": F.lit(batch.query_id), "batch_id": F.lit(batch.number).cast("bigint")}
        )
        if model.is_linear:  # only then may there be none
            # Two tables are written of the rows; the model is to run once.
            stamped = stamped.persist()
            self._record_unscorable(stamped.where(F.col(PREDICTION).isNull()), batch)
        predicted = stamped.where(F.col(PREDICTION).isNotNull())
        store.append(predicted, catalog.predictions, batch.transaction(catalog.predictions))
        stamped.unpersist()
        return None

    def _record_cost(self, batch: Batch, version: str, n_rows: int, seconds: float) -> None:
        """Once for each batch; the seconds of a batch that was cut off are its replay's."""
        catalog, store = self._lakehouse.catalog, self._lakehouse.store
        batch.count(rows_out=n_rows)
        row = {
            "query_id": batch.query_id,
            "batch_id": batch.number,
            "model_version": version,
            "rows": n_rows,
            "seconds": round(seconds, 3),
            "recorded_at": dt.datetime.now(dt.UTC),
        }
        store.append_rows([row], catalog.scoring_cost, batch.transaction(catalog.scoring_cost))

    def _recorded_version(self, batch: Batch) -> str | None:
        """The version that the batch was bound to when it was tried before; None for a new one.

        A batch that follows one of this handler is new: the ledger need not be read.
        """
        if self._handled == (batch.query_id, batch.number - 1):
            return None
        query_id, number = pc.field("query_id"), pc.field("batch_id")
        mine = (query_id == batch.query_id) & (number == batch.number)
        # Each query begins with batch 0, whose row stands for the query.
        other = (query_id != batch.query_id) & (number == 0)
        seen = self._lakehouse.store.rows(self._lakehouse.catalog.scoring_ledger, mine | other)
        versions = [row["model_version"] for row in seen if row["query_id"] == batch.query_id]
        self._has_older_query = len(seen) > len(versions)
        return versions[0] if versions else None

    def _resolve(self, batch: Batch) -> str:
        version = PromotionLedger(self._lakehouse).champion
        if version is None:
            raise RegistryError(
                f"{self._lakehouse.model.name} has no champion any more; its rows wait for one"
            )
        # Before the ledger's row: a batch that names a refused file could never be scored.
        self._model(version)
        catalog, store = self._lakehouse.catalog, self._lakehouse.store
        row = {
            "query_id": batch.query_id,
            "batch_id": batch.number,
            "model_version": version,
            "resolved_at": dt.datetime.now(dt.UTC),
            "table_versions": store.versions(catalog.readings),
        }
        store.append_rows([row], catalog.scoring_ledger)
        return version

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

    def _inputs(self, rows: DataFrame, model: ScoringModel) -> DataFrame:
        """The columns that the version or the settings read, and each row's position."""
        settings, catalog = self._lakehouse.model, self._lakehouse.catalog
        names = dict.fromkeys([*settings.predictions.features, *model.features.names])
        sources = sources_of(PromotionLedger(self._lakehouse), catalog.readings, names)
        return with_features(rows, sources, [settings.key, settings.event_time, *POSITION])

    def _record_unscorable(self, rows: DataFrame, batch: Batch) -> None:
        if not rows.isEmpty():
            key, table = F.col(self._lakehouse.model.key), self._lakehouse.catalog.unscorable
            named = rows.withColumn("key", key.cast("string"))
            self._lakehouse.store.append(named, table, batch.transaction(table))
            batch.count(rows_rejected=self._lakehouse.store.rows_appended(table))


def _stamped(rows: pa.Table, batch: Batch) -> pa.Table:
    """The rows with the micro-batch that they are scored in."""
    numbers = pa.repeat(pa.scalar(batch.number, pa.int64()), len(rows))
    named = rows.append_column("query_id", pa.repeat(batch.query_id, len(rows)))
    return named.append_column("batch_id", numbers)


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
    _scored_with.clear()
    _scored_with[sha256] = content
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
        catalog.unscorable,
        catalog.scoring_cost,
    )


def start_scoring(lakehouse: Lakehouse, trigger: str | float, scorer: Scorer) -> queries.Query:
    """Start the stream of scoring. There is a champion, and the caller holds the right to write."""
    catalog, store = lakehouse.catalog, lakehouse.store
    readings, sinks = store.read_stream(catalog.readings), [queries.Sink(catalog.predictions)]
    return queries.run(store, QUERY, readings, scorer.handle, trigger, sinks)
