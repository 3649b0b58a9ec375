"""A Python worker, or a whole executor, is killed in the middle of scoring: its task is tried again,
and each row is scored once, as by a run that nobody disturbed.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import environment_of

SCORED = """
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pyspark.sql import SparkSession
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

from lakehouse.models import Classification, Features, dump
from lakehouse.scoring import transforms
from lakehouse.storage.session import LOCAL_PROPERTIES, read_properties
import hashlib

master, victim, folder = sys.argv[1:]


@dataclass(frozen=True)
class Deadly(Features):
    mark: str = ""
    victim: str = ""

    def frame(self, rows):
        try:
            Path(self.mark).touch(exist_ok=False)
        except FileExistsError:
            return super().frame(rows)
        # A worker's parent is Python's daemon, and the daemon's is the executor.
        daemon = os.getppid()
        with open(f"/proc/{daemon}/stat") as stat:
            executor = int(stat.read().rpartition(")")[2].split()[1])
        os.kill(os.getpid() if self.victim == "worker" else executor, signal.SIGKILL)


builder = SparkSession.builder.master(master)
for key, value in read_properties(LOCAL_PROPERTIES).items():
    if key != "spark.master":
        builder = builder.config(key, value)
spark = builder.config("spark.executor.memory", "1g").getOrCreate()
rows = pd.DataFrame({"id": range(1000), "x": [i / 1000 for i in range(1000)]})
model = make_pipeline(DecisionTreeClassifier()).fit(rows[["x"]], (rows.x > 0.5).astype(int))
content = dump(model)
features = Deadly(("x",), (), f"{folder}/killed", victim)
scoring = transforms.ScoringModel(
    "1", hashlib.sha256(content).hexdigest(), spark.sparkContext.broadcast(content), features,
    Classification(("n", "y"), "y"),
)
scored = transforms.with_prediction(spark.createDataFrame(rows).repartition(4), scoring, "string")
found = scored.select("id", "prediction").toPandas().sort_values("id")
assert Path(f"{folder}/killed").exists()
assert found.id.tolist() == rows.id.tolist()
assert (found.prediction == "y").tolist() == (rows.x > 0.5).tolist()
print("right", flush=True)
os._exit(0)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("master", "victim"),
    [("local[2,4]", "worker"), ("local-cluster[2,1,1024]", "executor")],
    ids=["worker", "executor"],
)
def test_what_was_scored_is_right_though_a_worker_or_an_executor_was_killed(
    master: str, victim: str, tmp_path: Path
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SCORED, master, victim, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env=environment_of(PYTHONPATH=str(Path.cwd()), PYSPARK_PYTHON=sys.executable),
    )
    assert ended.stdout.endswith("right\n"), ended.stderr[-3000:]
