"""Builders: rows that fill what a test does not care about, and small models of other shapes."""

import atexit
import datetime as dt
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from tests.support.opened import MEMORY, opened

UTC = dt.UTC


def rows(spark: SparkSession, schema: StructType, given: Sequence[Mapping[str, Any]]) -> DataFrame:
    """A frame of the schema; a column that a row does not name is null."""
    return spark.createDataFrame(
        [tuple(row.get(name) for name in schema.names) for row in given], schema
    )


def moment(text: str) -> dt.datetime:
    """A moment in UTC from ISO text."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=UTC)


def land(folder: Path, name: str, lines: Sequence[Any], at: dt.datetime) -> Path:
    """Lands lines (text as it is, the rest as JSON) as one file with the modification time `at`."""
    import os

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("".join(f"{text}\n" for text in texts))
    os.utime(path, (at.timestamp(), at.timestamp()))
    return path


PARCEL = """
name: parcel
key: parcel_no
event_time: weighed_at
stream: {began: 2024-03-01T00:00:00Z}
readings:
  table: weighing
  columns:
    parcel_no: {type: string}
    weighed_at: {type: timestamp}
    lane: {type: string, nullable: true}
    fragile: {type: boolean, nullable: true}
    grams: {type: double, nullable: true}
    found: {type: integer, nullable: true}  # a name that the engine could be tempted to use itself
labels:
  table: claim
  columns:
    parcel_no: {type: string}
    settled_at: {type: timestamp}
    outcome: {type: string, values: [ok, broken, lost]}
  time: settled_at
  label: outcome
  horizon: 1 day
predictions: {table: expected_outcome, features: [lane, grams, fragile, found]}
metrics:
  granularities: [30 minutes, 1 day, 1 month]
  bins: 5
  columns: [weighed_at]
  slices: [lane, grams > 50]
  custom:
    - name: wrong_grams
      type: aggregate
      input_columns: [":table"]
      definition: "sum(CASE WHEN {{prediction_col}} <> {{label_col}} THEN grams END) / count({{label_col}})"
      output_data_type: double
    - name: mean_square
      type: aggregate
      input_columns: [grams, found]
      definition: "avg(`{{input_column}}` * `{{input_column}}`)"
      output_data_type: double
    - name: root_mean_square
      type: derived
      input_columns: [grams, found]
      definition: sqrt(mean_square)
      output_data_type: double
    - name: root_mean_square_delta
      type: drift
      input_columns: [grams]
      definition: "{{current_df}}.root_mean_square - {{base_df}}.root_mean_square"
      output_data_type: double
training:
  first_after: 100
  families: {decision_tree: {max_depth: [4]}, logistic_regression: {C: [1.0]}}
policy: {growth: null}  # the first model stays
"""


def write_parcel_settings(folder: Path) -> Path:
    """A second model, of another shape than glassware: text keys, nullable features, three
    classes.
    """
    path = folder / "parcel.yaml"
    path.write_text(PARCEL)
    return path


def parcels(n: int = 300) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Lines of readings and of labels for the parcel model: a parcel each ten minutes, settled
    twenty hours later.

    The first of them have no value in any nullable column.
    """
    import random

    chance = random.Random(0)
    readings, labels = [], []
    for place in range(n):
        at, known = moment("2024-03-01T01:00:00") + dt.timedelta(minutes=10 * place), place >= 6
        lane = chance.choice(["a", "b", "é", None]) if known else None
        fragile = chance.choice([True, False, None]) if known else None
        grams = chance.choice([None, chance.uniform(1, 100)]) if known else None
        line = {"parcel_no": f"P{place:04d}", "weighed_at": at.isoformat()}
        readings.append(
            line
            | {
                "lane": lane,
                "fragile": fragile,
                "grams": grams,
                "found": chance.choice([None, 1, 2]),
            }
        )
        outcome = "lost" if lane == "b" else "broken" if fragile else "ok"
        settled = (at + dt.timedelta(hours=20)).isoformat()
        labels.append({"parcel_no": line["parcel_no"], "settled_at": settled, "outcome": outcome})
    return readings, labels


REPAIR = """
name: repair
key: claim_no
event_time: reported_at
stream: {began: 2024-05-01T00:00:00Z}
readings:
  table: damage
  columns:
    claim_no: {type: long}
    reported_at: {type: timestamp}
    photographed_at: {type: timestamp, nullable: true}  # a time that is no feature
    workshop: {type: string, nullable: true}
    panels: {type: integer, min: 1}
    years: {type: double, nullable: true}
    towed: {type: boolean, nullable: true}
labels:
  table: invoice
  columns:
    claim_no: {type: long}
    invoiced_at: {type: timestamp}
    cost: {type: double, min: 0}
  time: invoiced_at
  label: cost
  horizon: 1 day
predictions:
  table: expected_cost
  problem_type: regression
  tolerance: 50.0
  features: [workshop, panels, years, towed]
metrics: {granularities: [1 day], bins: 5, columns: [photographed_at], model_id_column: model_id}
training:
  first_after: 100
  families: {decision_tree: {max_depth: [6]}, ridge_regression: {alpha: [1.0]}}
"""
DEARER = 200
"""The first repair that is half as dear again as it would have been before."""


def write_repair_settings(folder: Path) -> Path:
    """A third model, that predicts a number: what the repair of a car will cost."""
    path = folder / "repair.yaml"
    path.write_text(REPAIR)
    return path


def repairs(n: int = 300) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Lines of readings and of labels for the repair model: a damage each ten minutes, its invoice
    twenty hours later.

    The first of them have no value in any nullable column.
    """
    import random

    chance = random.Random(0)
    readings, labels = [], []
    for place in range(n):
        at, known = moment("2024-05-01T00:30:00") + dt.timedelta(minutes=10 * place), place >= 6
        workshop = chance.choice(["north", "süd", None]) if known else None
        panels, years = chance.randint(1, 6), chance.uniform(0, 12)
        towed = chance.choice([True, False]) if known else None
        line = {
            "claim_no": place,
            "reported_at": at.isoformat(),
            "workshop": workshop,
            "panels": panels,
        }
        line |= {"photographed_at": (at - dt.timedelta(hours=1)).isoformat() if known else None}
        readings.append(
            line | {"years": years if known and chance.random() < 0.8 else None, "towed": towed}
        )
        cost = (
            180
            + 220 * panels
            + 15 * years
            + 150 * bool(towed)
            + 120 * (workshop == "süd")
            + chance.gauss(0, 30)
        )
        invoice = {"claim_no": place, "invoiced_at": (at + dt.timedelta(hours=20)).isoformat()}
        labels.append(invoice | {"cost": cost * (1.5 if place >= DEARER else 1.0)})
    return readings, labels


WITHHELD = 100_030
"""The piece whose label does not come with the others."""


@cache
def works_after_three_nights(spark: SparkSession) -> Any:
    """A small glass works after three nights of the whole pipeline: a first model has come, v2 took
    over after a drift, and on the last night a false alarm is raised.

    For tests of the whole way and of what its users read; they do not write to it. A piece per
    300 s, so that sketches of a week are exact; the rule changes in the evening of 12 July. The
    alarm is set lower than by default, and asks for a surer challenger, so that one is refused.
    """
    from lakehouse.app.whole_way import run_pipeline
    from lakehouse.glassware.gateway import land_until
    from lakehouse.glassware.pieces import Stream
    from lakehouse.settings import GateSettings, ShiryaevRobertsRule, load_model_settings

    folder = Path(tempfile.mkdtemp(prefix="glass-", dir=MEMORY))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    glassware = load_model_settings("conf/glassware.yaml")
    families = {"decision_tree": {"ccp_alpha": [0.005]}, "logistic_regression": {"C": [1.0]}}
    few = {"families": families, "first_after": 1000}
    strict = {"rules": (ShiryaevRobertsRule(alarm=1_000),), "gate": GateSettings(confidence=0.8)}
    policy = glassware.policy.model_copy(update=strict)
    model = glassware.model_copy(
        update={"training": glassware.training.model_copy(update=few), "policy": policy}
    )
    lakehouse = opened(spark, model, folder / "lakehouse", folder / "landing")
    stream = Stream("demo", seed=0, pieces=6000, period=300.0)
    for day in (9, 14, 17):
        land_until(
            stream, folder / "landing", moment("2019-07-01T00:00:00") + dt.timedelta(days=day)
        )
        _withhold(folder / "landing" / "quality_check")
        run_pipeline(lakehouse)
    return lakehouse


def _withhold(folder: Path) -> None:
    """Takes the withheld piece's label out of the file that it landed in."""
    for path in folder.glob("*.jsonl"):
        lines = path.read_text().splitlines(keepends=True)
        kept = [line for line in lines if json.loads(line)["pid"] != WITHHELD]
        if len(kept) < len(lines):
            path.write_text("".join(kept))


@cache
def parcel_depot(spark: SparkSession) -> Any:
    """A lakehouse of the parcel model, made from its YAML file alone, after two days. Made once for
    all modules.
    """
    from lakehouse.app.whole_way import run_pipeline
    from lakehouse.settings import load_model_settings

    folder = Path(tempfile.mkdtemp(prefix="depot-", dir=MEMORY))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    model = load_model_settings(write_parcel_settings(folder))
    lakehouse = opened(spark, model, folder / "lakehouse")
    readings, labels = parcels()
    landing, landed_at = Path(lakehouse.landing), moment("2024-03-04T00:00:00")
    land(landing / "weighing", "1", readings, landed_at)
    land(landing / "claim", "1", labels[:160], landed_at)
    run_pipeline(lakehouse)
    land(landing / "claim", "2", labels[160:290], landed_at + dt.timedelta(hours=1))
    run_pipeline(lakehouse)
    return lakehouse


@dataclass(frozen=True)
class Shop:
    """A lakehouse of the repair model, made from its YAML file alone; tests read it, and write to
    copies.
    """

    lakehouse: Any

    def copy(self, folder: Path) -> Any:
        """A copy to write to; the landing folder is shared."""
        shutil.copytree(self.lakehouse.store.root, folder / "lakehouse")
        lakehouse = self.lakehouse
        return opened(lakehouse.spark, lakehouse.model, folder / "lakehouse", lakehouse.landing)


@cache
def repair_shop(spark: SparkSession) -> Shop:
    """After two days: the first model came with 160 invoices, 130 more followed, the last 90 of
    them dearer.

    Made once for all modules.
    """
    from lakehouse.app.whole_way import run_pipeline
    from lakehouse.settings import load_model_settings

    folder = Path(tempfile.mkdtemp(prefix="shop-", dir=MEMORY))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    model = load_model_settings(write_repair_settings(folder))
    lakehouse = opened(spark, model, folder / "lakehouse", folder / "landing")
    readings, labels = repairs()
    landing, landed_at = Path(lakehouse.landing), moment("2024-05-04T00:00:00")
    land(landing / "damage", "1", readings, landed_at)
    for number, invoices in enumerate((labels[:160], labels[160:290])):
        land(landing / "invoice", str(number), invoices, landed_at + dt.timedelta(hours=number))
        run_pipeline(lakehouse)
    return Shop(lakehouse)


def decisions(lakehouse: Any) -> list[Mapping[str, Any]]:
    """The rows of `gold.decision`, in the order in which they were taken."""
    return sorted(
        lakehouse.store.rows(lakehouse.catalog.decision), key=lambda row: row["decided_at"]
    )


def registered(lakehouse: Any) -> int:
    """How many versions MLflow has."""
    return len(lakehouse.registry._client.search_model_versions(f"name = '{lakehouse.model.name}'"))


def policy_history(lakehouse: Any) -> Any:
    """The state of the policy as the ledgers tell it."""
    from lakehouse.retraining.table_ledger import TableLedger

    return TableLedger(lakehouse).history


def promotions(lakehouse: Any) -> list[Mapping[str, Any]]:
    """The rows of `gold.promotion`, in the order in which they were written."""
    from lakehouse.versions.ledger import PromotionLedger

    return PromotionLedger(lakehouse).rows


def labelled_predictions(lakehouse: Any, as_of: dt.datetime, history: Any = None) -> Any:
    """What the loop knows as of a label batch; under another state of the ledgers, if that is
    given.
    """
    from lakehouse.retraining.promoted_models import PromotedModels
    from lakehouse.retraining.table_predictions import TablePredictions
    from lakehouse.versions.ledger import PromotionLedger

    known = policy_history(lakehouse) if history is None else history
    return TablePredictions(PromotedModels(PromotionLedger(lakehouse)), as_of, known)


def record_promotion(
    lakehouse: Any, as_of: dt.datetime, version: str, policy_record: Any = None
) -> None:
    """The gate lets the version take over, whatever it is."""
    from lakehouse.versions.ledger import PromotionLedger
    from lakehouse.versions.promotion import record_result

    row = {"as_of": as_of, "reason": "it is better", "evidence": {}}
    record = policy_record and policy_record.to_json()
    record_result(
        PromotionLedger(lakehouse), lakehouse.registry.version(version), True, row, record
    )


def with_policy(lakehouse: Any, **given: Any) -> Any:
    """The lakehouse under other settings of the policy."""
    policy = lakehouse.model.policy.model_copy(update=given)
    return replace(lakehouse, model=lakehouse.model.model_copy(update={"policy": policy}))
