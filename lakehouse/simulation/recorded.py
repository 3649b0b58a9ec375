"""A lakehouse's own history as a plant: what was read, what the labels said and when, what
production called.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from lakehouse.errors import StoreError
from lakehouse.instants import instant, instants
from lakehouse.models import features_of, problem_of
from lakehouse.models.expected_error.encoding import matrix_of, names_of
from lakehouse.retraining.policy.candidates.choice import Model
from lakehouse.retraining.policy.decide import RETRAIN
from lakehouse.retraining.policy.records import Rows
from lakehouse.settings import ModelSettings
from lakehouse.settings.reserved import PREDICTION
from lakehouse.storage.plain_tables import read_columns
from lakehouse.tables import Catalog, catalog_of
from lakehouse.versions.actions import PROMOTE, REFUSE, ROLLBACK

_LABEL_TIME = "_label_time"  # no model's column begins with an underscore


@dataclass(frozen=True)
class Tally:
    """What a policy did.

    Attributes:
        alarms: label batches at which a rule asked for a training.
        trainings: challengers that the gate judged, the first model included; one that is brought
            back counts.
        refused: how many of them it refused.
        promotions: how many it let pass.
        rolled_back: promotions that were taken back.
    """

    alarms: int
    trainings: int
    refused: int
    promotions: int
    rolled_back: int

    @classmethod
    def of(cls, decisions: Iterable[str], verdicts: Iterable[str]) -> "Tally":
        """Count the actions of decisions, and those of verdicts and rollbacks."""
        found = list(verdicts)
        refused, promoted, back = (found.count(action) for action in (REFUSE, PROMOTE, ROLLBACK))
        return cls(list(decisions).count(RETRAIN), refused + promoted, refused, promoted, back)


@dataclass(frozen=True)
class Recorded:
    """The labelled readings of a lakehouse, and what production made of them; a `Plant`.

    Attributes:
        rows: a row per reading whose label has come, in order of event time, then key.
        predicted_in_production: what production predicted for each row; unknown where it predicted
            nothing.
        since: as-of of production's first promotion; None before it.
        tally: what production did.
    """

    rows: Rows
    predicted_in_production: np.ndarray
    since: np.datetime64 | None
    tally: Tally

    @property
    def nights(self) -> np.ndarray:
        """When to decide: for each day (UTC) on which labels came, the moment of the day's last
        one.
        """
        label_time = np.sort(self.rows.label_time)
        days = label_time.astype("datetime64[D]")
        return label_time[np.append(days[1:] != days[:-1], True)]

    def accuracy(self, model: Model, row: int) -> float:
        """NaN: of a real process nobody knows the rule."""
        return float("nan")


def recorded(root: str, model: ModelSettings) -> Recorded:
    """Read silver's readings, labels and predictions and the ledgers of a lakehouse; start no
    Spark.

    Args:
        root: of the lakehouse.
        model: its settings.

    Raises:
        StoreError: a table is not there, or no reading has a label.
    """
    catalog = catalog_of(model)
    found = _labelled(root, model, catalog)
    if not len(found):
        raise StoreError(
            f"{root}: no reading in {catalog.readings.full_name} has a label in "
            f"{catalog.labels.full_name}; "
            "a policy is replayed on labels, so let some come first"
        )
    label_time = instants(found[_LABEL_TIME])
    since, tally = _ledgers(root, catalog)
    return Recorded(_rows(found, label_time, model), found["_called"].to_numpy(), since, tally)


def _labelled(root: str, model: ModelSettings, catalog: Catalog) -> pd.DataFrame:
    """The readings whose label has come, with it, and with what production called them."""
    key, problem = model.key, problem_of(model)
    wanted = list(dict.fromkeys([key, model.event_time, *model.predictions.features]))
    readings = read_columns(root, catalog.readings, wanted).to_pandas()
    labels = read_columns(
        root, catalog.labels, [key, model.labels.label, model.labels.time]
    ).to_pandas()
    labels = labels.rename(columns={model.labels.time: _LABEL_TIME})
    labels = labels.sort_values(_LABEL_TIME).drop_duplicates(
        key, keep="last"
    )  # a label that was corrected
    predictions = read_columns(root, catalog.predictions, [key, PREDICTION]).to_pandas()
    served = pd.DataFrame(
        {key: predictions[key], "_called": problem.targets(predictions[PREDICTION])}
    )
    both = readings.merge(labels, on=key).merge(served, on=key, how="left")
    unknown = problem.unknown(1)
    both["_called"] = both["_called"].fillna(unknown[0]).astype(unknown.dtype)
    return both.sort_values([model.event_time, key], ignore_index=True)


def _rows(found: pd.DataFrame, label_time: np.ndarray, model: ModelSettings) -> Rows:
    features = features_of(model)
    table = pa.Table.from_pandas(features.frame(found), preserve_index=False)
    names = names_of(table, features)
    labels = np.array(problem_of(model).targets(found[model.labels.label]))
    event_time = instants(found[model.event_time])
    return Rows(names, matrix_of(table, names), labels, event_time, label_time, problem_of(model))


def _ledgers(root: str, catalog: Catalog) -> tuple[np.datetime64 | None, Tally]:
    """Return when the first model was promoted, and what was decided; a refusal without a
    challenger is no training.
    """
    decisions = read_columns(root, catalog.decision, ["action"]).to_pylist()
    rows = read_columns(root, catalog.promotion, ["as_of", "action", "to_version"]).to_pylist()
    promoted = [row["as_of"] for row in rows if row["action"] == PROMOTE]
    since = instant(min(promoted)) if promoted else None
    verdicts = (row["action"] for row in rows if row["to_version"])
    return since, Tally.of((row["action"] for row in decisions), verdicts)
