"""Two operators start the pipeline at once: one does the work, whole, and the other says who is at it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from deltalake import DeltaTable

from tests.support.batch_reports import rows_of
from tests.support.processes import environment_of

LINES = 40


@pytest.mark.slow
@pytest.mark.soak
def test_one_of_two_pipelines_ends_with_its_own_code_and_the_other_loses_nothing(
    tmp_path: Path,
) -> None:
    landing = tmp_path / "landing" / "sensor_reading"
    landing.mkdir(parents=True)
    lines = (
        f'{{"pid": {number}, "process_time": "2019-07-01T10:00:00Z", "temp": 355.0, '
        '"pressure": 12.5, "duration": 28.0}\n'
        for number in range(1, LINES + 1)
    )
    (landing / "a.jsonl").write_text("".join(lines))
    os.utime(landing / "a.jsonl", (1_562_000_000, 1_562_000_000))
    words = [sys.executable, "jobs/run_pipeline.py", "--root", str(tmp_path)]
    environment = environment_of(PYTHONPATH=os.getcwd())  # noqa: PTH109
    both = [
        subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    ended = {}
    for process in both:
        _, told = process.communicate(timeout=500)
        ended[process.returncode] = told
    assert set(ended) == {0, 4}
    assert "is being done by run_pipeline.py (process " in ended[4]
    assert len(rows_of(tmp_path, "job_run")) == 2
    assert (
        DeltaTable(tmp_path / "silver" / "sensor_reading").to_pyarrow_dataset().count_rows()
        == LINES
    )
