"""What promoted versions predict for labelled rows, in the codes that classes have by now."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import functions as F
from sklearn.pipeline import Pipeline

from lakehouse.instants import instants
from lakehouse.labels.label_batch import labels_in_force
from lakehouse.labels.labelled_rows import LABEL_TIME
from lakehouse.models import Classification, Features, ModelCache, features_of, problem_of
from lakehouse.models.expected_error.encoding import matrix_of, names_of
from lakehouse.monitoring.transforms import primary_rows
from lakehouse.retraining.policy.document import PolicyRecord
from lakehouse.retraining.policy.history import History
from lakehouse.retraining.policy.records import Rows
from lakehouse.versions.feature_columns import features_read
from lakehouse.versions.ledger import PromotionLedger

_MODELS = ModelCache()


class PromotedModels:
    """The versions of a ledger.

    Attributes:
        ledger: of promotions.
        lakehouse: its lakehouse.
        problem: what is predicted, by the settings.
    """

    def __init__(self, ledger: PromotionLedger) -> None:
        """Load nothing yet."""
        self.ledger, self.lakehouse = ledger, ledger.lakehouse
        self.problem = problem_of(ledger.lakehouse.model)

    def predicted(self, version: int, frame: pd.DataFrame) -> np.ndarray:
        """Return what a version predicts for each row: class codes of the settings, or numbers."""
        meaning, model = self.ledger.meaning(str(version)), self._model(version)
        if not len(frame):
            return self.problem.unknown(0)
        own = meaning.problem.predicted(
            meaning.problem.outputs(model, meaning.features.frame(frame))
        )
        known = meaning.problem
        return self._codes(known.classes)[own] if isinstance(known, Classification) else own

    def knows(self, version: int, targets: np.ndarray) -> np.ndarray:
        """Return which labels the version can predict: those of classes that it has learned, or any
        number.
        """
        known = self.ledger.meaning(str(version)).problem
        if not isinstance(known, Classification):
            return np.ones(len(targets), dtype=bool)
        return np.isin(targets, self._codes(known.classes)[self._model(version).classes_])

    def bins(
        self, version: int, record: PolicyRecord, frame: pd.DataFrame, predicted: np.ndarray
    ) -> np.ndarray:
        """In which bins of the version's expected error its predictions are."""
        own = self.ledger.meaning(str(version)).features
        features = pa.Table.from_pandas(own.frame(frame), preserve_index=False)
        return record.error_bins.bins(features, self.problem.kind_of(predicted))

    def features(self, history: History) -> Features:
        """The features of the settings, then those that versions on record read besides."""
        return features_read(self.ledger, map(str, history.records))

    def _codes(self, classes: tuple[object, ...]) -> np.ndarray:
        return np.asarray(self.problem.targets(pd.Series(list(classes))))

    def _model(self, version: int) -> Pipeline:
        number = str(version)
        return _MODELS.loaded(self.ledger.sha256(number), lambda: self.ledger.load(number))


class LabelledFrame:
    """Labelled rows with all their columns (see `ports.LabelledRows`).

    Attributes:
        frame: keys, event times, features, labels and LABEL_TIME; in order of event time.
        rows: the same as the policy has them.
    """

    def __init__(self, models: PromotedModels, frame: pd.DataFrame, history: History) -> None:
        """Of the rows of a frame; the columns of the policy's matrix are those that recorded
        versions know, too.
        """
        self._models, self.frame = models, frame
        self.rows = _rows_of(models, frame, history)
        self._predicted: dict[int, np.ndarray] = {}

    def predicted_by(self, version: int) -> np.ndarray:
        """See `LabelledRows`."""
        if version not in self._predicted:
            self._predicted[version] = self._models.predicted(version, self.frame)
        return self._predicted[version]

    def known_to(self, version: int) -> np.ndarray:
        """See `LabelledRows`."""
        return self._models.knows(version, self.rows.labels)

    def slices(self, where: np.ndarray) -> Mapping[str, np.ndarray]:
        """See `LabelledRows`."""
        lakehouse = self._models.lakehouse
        model, catalog, store = lakehouse.model, lakehouse.catalog, lakehouse.store
        keys = self.frame.loc[where, model.key]
        if not model.metrics.slices or not len(keys):
            return {}
        near = F.col(model.key).between(*keys.agg(["min", "max"]).tolist())
        predicted, read = (
            store.read(table).where(near) for table in (catalog.predictions, catalog.readings)
        )
        primary = primary_rows(predicted, labels_in_force(lakehouse).where(near), read, model)
        columns = [
            F.expr(text).cast("string").alias(f"_{place}")
            for place, text in enumerate(model.metrics.slices)
        ]
        found = (
            primary.select(model.key, *columns)
            .toArrow()
            .to_pandas()
            .set_index(model.key)
            .reindex(keys)
        )
        return {
            f"{text}: {value}": (found[f"_{place}"] == value).to_numpy()
            for place, text in enumerate(model.metrics.slices)
            for value in sorted(found[f"_{place}"].dropna().unique())
        }


def _rows_of(models: PromotedModels, frame: pd.DataFrame, history: History) -> Rows:
    model, features = models.lakehouse.model, models.features(history)
    table = pa.Table.from_pandas(features.frame(frame), preserve_index=False)
    # The matrix is ordered by the features of the settings; those that only older versions read
    # come after.
    names = names_of(table, features_of(model), history.names)
    event_time, label_time = instants(frame[model.event_time]), instants(frame[LABEL_TIME])
    labels = np.asarray(models.problem.targets(frame[model.labels.label]))
    return Rows(names, matrix_of(table, names), labels, event_time, label_time, models.problem)
