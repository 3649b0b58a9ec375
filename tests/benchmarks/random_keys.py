"""What does a backfill cost whose keys do not grow with time, and does it grow?

Parcels have random ids, ten features of which two are text, and labels of three classes that come
in another order, up to two and a half days late. So no file's least and greatest keys say what it
holds. Each part lands in ten files and is one pass of the pipeline, with the cluster's properties.

    PYTHONPATH=. spark-submit --master 'local[2]' --properties-file conf/spark-cluster.properties \\
      --driver-memory 4g tests/benchmarks/random_keys.py [PARCELS] [PARTS]

Figures of 2026-12-03, two cores, 4,000,000 parcels in eight parts. Seconds of each part, and what
Python held at most; from the third part on there are two models, and drift is looked into:

    part        1     2     3     4     5     6     7     8
    ingest     13     8     8     9     7     7     8    11
    score      15     8    14    14    10     7     7    12
    aggregate  13    13    15    20    17    17    23    26
    retrain    37    39    49    49     1     1    54     2
    GB        3.3   3.3   3.4   3.6   3.8   3.7   3.6   3.7

Before labels were asked for by their keys, aggregation of the first three parts took 20, 17 and 19 s,
and Python held 4.4 GB in the third. Before threads of ended streams went, and the driver gave back
what it had freed, Python held 3.2 GB in the second part and 4.7 in the eighth.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from lakehouse.app.opening import open_lakehouse
from lakehouse.settings import EnvironmentSettings, ModelSettings
from lakehouse.storage.session import open_session
from tests.benchmarks.backfill import seconds_of_pass

FILES = 5  # of readings in a part, and of labels
DAYS = 5  # that a part spans
BEGAN = pd.Timestamp("2026-01-01", tz="UTC")
CARRIERS = np.array(["aldo", "brix", "cargo", "delta", "eon"])
COUNTRIES = np.array(["AT", "BE", "CZ", "DE", "DK", "ES", "FR", "IT", "NL", "PL", "SE"])
OUTCOMES = np.array(["early", "on time", "late"])
NUMBERS = ("weight", "width", "height", "depth", "value", "distance")
FEATURES = (*NUMBERS, "stops", "carrier", "country", "is_express")
MODEL = ModelSettings.model_validate(
    {
        "name": "parcels",
        "key": "parcel_id",
        "event_time": "weighed_at",
        "stream": {"began": str(BEGAN), "max_ahead": "3650 days"},
        "readings": {
            "table": "weighing",
            "columns": {
                "parcel_id": {"type": "string"},
                "weighed_at": {"type": "timestamp"},
                **{name: {"type": "double"} for name in NUMBERS},
                "stops": {"type": "integer"},
                "carrier": {"type": "string"},
                "country": {"type": "string"},
                "is_express": {"type": "boolean"},
            },
        },
        "labels": {
            "table": "delivery",
            "columns": {
                "parcel_id": {"type": "string"},
                "delivered_at": {"type": "timestamp"},
                "outcome": {"type": "string", "values": sorted(OUTCOMES)},
            },
            "time": "delivered_at",
            "label": "outcome",
            "horizon": "4 days",
        },
        "predictions": {"table": "predicted_outcome", "features": list(FEATURES)},
        "metrics": {"granularities": ["1 day", "1 week"], "bins": 20},
        "training": {
            "first_after": 2000,
            "max_rows": 50_000,
            "families": {"hist_gradient_boosting": {"max_iter": [60]}},
        },
        "counterfactual": {"daily": True},
    }
)


def land(part: int, parcels: int, landing: Path) -> None:
    """A part's readings and labels, as lines of JSON."""
    rng = np.random.default_rng(part)
    readings = _readings(rng, part, parcels)
    labels = _labels(rng, readings)
    for name, rows in (("weighing", readings), ("delivery", labels)):
        folder = landing / name
        folder.mkdir(parents=True, exist_ok=True)
        for file in range(FILES):
            own = rows.iloc[file * parcels // FILES : (file + 1) * parcels // FILES]
            path = folder / f"{part}-{file}.jsonl"
            own.to_json(path, orient="records", lines=True, date_format="iso", date_unit="us")


def _readings(rng: np.random.Generator, part: int, parcels: int) -> pd.DataFrame:
    seconds = (part + np.arange(parcels) / parcels) * DAYS * 86_400
    ids = rng.bytes(16 * parcels).hex()
    return pd.DataFrame(
        {
            "parcel_id": [ids[32 * place : 32 * (place + 1)] for place in range(parcels)],
            "weighed_at": BEGAN + pd.to_timedelta(seconds, unit="s"),
            **{name: rng.gamma(2, 50, parcels).round(3) for name in NUMBERS},
            "stops": rng.integers(1, 12, parcels),
            "carrier": rng.choice(CARRIERS, parcels),
            "country": rng.choice(COUNTRIES, parcels),
            "is_express": rng.random(parcels) < 0.2,
        }
    )


def _labels(rng: np.random.Generator, readings: pd.DataFrame) -> pd.DataFrame:
    """How each parcel came: what one carrier does differs from the third part on."""
    parcels = len(readings)
    delay = readings["distance"] / 100 + readings["stops"] / 5 - 2 * readings["is_express"]
    is_other = readings["weighed_at"] > BEGAN + 2 * DAYS * pd.Timedelta(days=1)
    delay += np.where(readings["carrier"] == CARRIERS[0], np.where(is_other, -1.5, 1.5), 0)
    place = np.digitize(delay + rng.logistic(scale=0.4, size=parcels), [1.0, 2.5])
    took = pd.to_timedelta(rng.uniform(1, 2.5, parcels), unit="D")
    labels = pd.DataFrame(
        {
            "parcel_id": readings["parcel_id"],
            "delivered_at": readings["weighed_at"] + took,
            "outcome": OUTCOMES[place],
        }
    )
    return labels.iloc[rng.permutation(parcels)]


def main(parcels: int, parts: int) -> None:
    """Prints a line a part."""
    with tempfile.TemporaryDirectory() as home:
        environment = EnvironmentSettings(root=home)
        lakehouse = open_lakehouse(open_session(), MODEL, environment)
        for part in range(parts):
            land(part, parcels // parts, Path(home) / "landing")
            seconds_of_pass(lakehouse, part + 1)


if __name__ == "__main__":
    words = [*sys.argv[1:], *["4000000", "8"][len(sys.argv) - 1 :]]
    main(int(words[0]), int(words[1]))
