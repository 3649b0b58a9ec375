"""Workers and Spark fail on a row: no log, sentence or trace holds a value of it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import environment_of

FAILS_ON_A_ROW = """
import sys
from contextlib import suppress

import pandas as pd
from pyspark.sql import functions as F

from lakehouse.app import command_line
from lakehouse.app.command_line import run_job
from lakehouse.storage.session import open_session

command_line._opened_roots.append(sys.argv[1])


def main(_):
    frame = open_session().createDataFrame(pd.DataFrame({"x": ["pl4nted", "2"], "n": [1e9, 1.5]}))
    as_number = F.pandas_udf(lambda values: values.astype(float), "double")
    as_it_is = F.pandas_udf(lambda values: values, "double")
    for column in (
        F.col("x").cast("long"),
        F.map_from_arrays(F.array("x", "x"), F.array("n", "n")),
        as_it_is("x"),
        as_number("x"),
    ):
        try:
            frame.select(column).collect()
        except Exception as error:
            command_line.tell(f"error: {command_line.unforeseen(error, command_line.log_folder())}")
        else:
            print("it did not fail", flush=True)
    frame.select(as_number("x")).collect()


run_job(main)
"""


@pytest.mark.slow
def test_no_value_of_a_row_that_spark_or_a_worker_fails_on_is_in_a_log_a_sentence_or_a_trace(
    tmp_path: Path,
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", FAILS_ON_A_ROW, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env=environment_of(PYTHONPATH=str(Path.cwd())),
    )
    told = ended.stdout + ended.stderr
    assert ended.returncode == 3, told
    assert ended.stdout == ""
    assert ended.stderr.count("error: ") >= 5
    assert "pl4nted" not in told
    assert "[CAST_INVALID_INPUT] The value" in told  # and what is the matter is told
    assert " ERROR " in told  # by Spark, too
    traces = [path.read_text() for path in (tmp_path / "_system" / "log").iterdir()]
    assert traces
    assert not [trace for trace in traces if "pl4nted" in trace]
