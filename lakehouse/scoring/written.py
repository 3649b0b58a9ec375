"""The answers for a micro-batch's rows, written once however often the batch is tried."""

from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_type

from lakehouse.rollouts.verdict import Scored
from lakehouse.scoring.binding import Binding
from lakehouse.scoring.small_batches import is_small, predicted_rows
from lakehouse.scoring.transforms import ScoringModel, with_prediction
from lakehouse.scoring.two_arms import TwoArms, with_two_answers
from lakehouse.settings.reserved import POSITION, PREDICTION
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.partitions import covering_keys_of
from lakehouse.storage.queries import Batch


@dataclass(frozen=True)
class Answers:
    """The tables that answers go to, for one micro-batch.

    Attributes:
        lakehouse: whose rows are scored.
        batch: that the rows are of.
    """

    lakehouse: Lakehouse
    batch: Batch

    def write(self, inputs: DataFrame, model: ScoringModel) -> int:
        """Write what one version says of rows; return how many predictions there are."""
        predictions = self.lakehouse.catalog.predictions
        declared = {*predictions.schema.names, *POSITION}  # the driver writes no others
        if set(inputs.columns) <= declared and is_small(inputs):
            return self._write_here(inputs.toArrow(), model)
        predicted = with_prediction(inputs, model, prediction_type(self.lakehouse))
        # Only sums of products may overflow.
        return self._write_by_workers(predicted, may_be_unscorable=model.is_linear)

    def write_two(
        self,
        inputs: DataFrame,
        models: tuple[ScoringModel, ScoringModel | None],
        binding: Binding,
        is_new_checkpoint: bool,
    ) -> tuple[int, Scored]:
        """Write what two versions say of rows: production's answer first, then the other one.

        Args:
            inputs: rows with the features of both.
            models: champion and challenger.
            binding: of the batch.
            is_new_checkpoint: whether an older one may have left rows in the shadow table.

        Returns:
            How many predictions there are, and how the challenger did.
        """
        settings, kind = self.lakehouse.model, prediction_type(self.lakehouse)
        tolerance = settings.predictions.tolerance
        two = with_two_answers(inputs, models, binding, settings.key, kind, tolerance)
        two = replace(two, rows=two.rows.persist())  # the models are to run once
        try:
            n_rows = self._write_by_workers(two.production(inputs.columns), models[0].is_linear)
            self._write_shadow(two, binding, is_new_checkpoint)
            return n_rows, two.scored()
        finally:
            two.rows.unpersist()

    def _write_here(self, rows: pa.Table, model: ScoringModel) -> int:
        catalog, store = self.lakehouse.catalog, self.lakehouse.store
        predictions = catalog.predictions
        transaction = self.batch.transaction(predictions)
        if store.has(transaction, predictions):
            # A replay; its rows may have been left out as scored by now.
            of_batch = pc.field("query_id") == self.batch.query_id
            return store.count(predictions, of_batch & (pc.field("batch_id") == self.batch.number))
        if not len(rows):
            return 0
        kind = to_arrow_type(predictions.schema[PREDICTION].dataType)
        predicted, unscorable = map(self._stamped_here, predicted_rows(rows, model, kind))
        keys = unscorable[self.lakehouse.model.key].cast(pa.string())
        unscorable = unscorable.append_column("key", keys)
        of_unscorable = self.batch.transaction(catalog.unscorable)
        store.append_arrow(unscorable, catalog.unscorable, of_unscorable)
        self.batch.count(rows_rejected=len(unscorable))
        store.append_arrow(predicted, predictions, transaction)
        return len(predicted)

    def _stamped_here(self, rows: pa.Table) -> pa.Table:
        numbers = pa.repeat(pa.scalar(self.batch.number, pa.int64()), len(rows))
        named = rows.append_column("query_id", pa.repeat(self.batch.query_id, len(rows)))
        return named.append_column("batch_id", numbers)

    def _write_by_workers(self, predicted: DataFrame, may_be_unscorable: bool) -> int:
        predictions, store = self.lakehouse.catalog.predictions, self.lakehouse.store
        stamped = self._stamped(predicted)
        if may_be_unscorable:
            # Two tables are written of the rows; the model is to run once.
            stamped = stamped.persist()
            self._write_unscorable(stamped.where(F.col(PREDICTION).isNull()))
        answered = stamped.where(F.col(PREDICTION).isNotNull())
        store.append(answered, predictions, self.batch.transaction(predictions))
        stamped.unpersist()
        # The newest commit is the batch's, or its replay's.
        return store.rows_appended(predictions)

    def _write_unscorable(self, rows: DataFrame) -> None:
        if not rows.isEmpty():
            key, table = F.col(self.lakehouse.model.key), self.lakehouse.catalog.unscorable
            named = rows.withColumn("key", key.cast("string"))
            self.lakehouse.store.append(named, table, self.batch.transaction(table))
            self.batch.count(rows_rejected=self.lakehouse.store.rows_appended(table))

    def _write_shadow(self, two: TwoArms, binding: Binding, is_new_checkpoint: bool) -> None:
        model, table = self.lakehouse.model, self.lakehouse.catalog.shadow_predictions
        shadow = two.shadow([model.key, model.event_time])
        if is_new_checkpoint:
            known = self.lakehouse.store.read(table).select(model.key)
            near = covering_keys_of(two.rows, model.key)
            shadow = shadow.join(known.where(near), model.key, "left_anti")
        stamped = self._stamped(shadow).withColumn("rollout_id", F.lit(binding.rollout_id))
        self.lakehouse.store.append(stamped, table, self.batch.transaction(table))

    def _stamped(self, rows: DataFrame) -> DataFrame:
        number = F.lit(self.batch.number).cast("bigint")
        return rows.withColumns({"query_id": F.lit(self.batch.query_id), "batch_id": number})


def prediction_type(lakehouse: Lakehouse) -> str:
    """Spark's type of a prediction."""
    return lakehouse.catalog.predictions.schema["prediction"].dataType.simpleString()
