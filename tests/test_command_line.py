"""The jobs as a user calls them: help, and one sentence where something is wrong. No Spark is started."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import environment_of

JOBS = sorted(path for path in Path("jobs").glob("*.py") if path.stem != "__init__")


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.stem)
def test_each_job_tells_its_options(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        importlib.import_module(f"jobs.{job.stem}").main(["--help"])
    assert end.value.code == 0
    assert "usage:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--from", "2019-07-01"], "--from and --to go together"),
        (["--from", "2019-07-02", "--to", "2019-07-01"], "--from is after --to; exchange them"),
        (["--from", "yesterday", "--to", "2019-07-01"], "invalid"),
    ],
)
def test_a_span_that_is_none_is_told_before_spark_starts(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        importlib.import_module("jobs.aggregate_kpis").main(words)
    assert end.value.code == 2
    assert says in capsys.readouterr().err


@pytest.mark.slow
def test_a_wrong_configuration_is_one_sentence_that_names_the_key(tmp_path: Path) -> None:
    model = tmp_path / "model.yaml"
    model.write_text(Path("conf/glassware.yaml").read_text().replace("alarm: ", "alram: "))
    failed = run("jobs/ingest.py", "--model", str(model), "--root", str(tmp_path / "root"))
    assert failed.returncode == 2
    assert "margins.alram: is not a setting; write one of" in failed.stderr
    assert "margins.alarm: is missing; write a value for it" in failed.stderr
    assert "Traceback" not in failed.stderr


@pytest.mark.slow
def test_a_wrong_trigger_is_one_sentence(tmp_path: Path) -> None:
    failed = run("jobs/score.py", "--trigger", "soon", "--root", str(tmp_path / "root"))
    assert failed.returncode == 2
    assert failed.stderr.startswith("error: --trigger: write `available-now` or an interval")


@pytest.mark.slow
def test_the_whole_way_by_spark_submit_ends_well_and_the_account_balances(tmp_path: Path) -> None:
    submit = [str(Path(sys.executable).with_name("spark-submit")), "--properties-file", "conf/spark-local.properties"]
    environment = environment_of(PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    landing = str(tmp_path / "landing")
    assert run("jobs/simulate.py", "--landing", landing, "--until", "2019-07-04").returncode == 0
    for job in ("run_pipeline", "account"):
        words = [*submit, f"jobs/{job}.py", "--root", str(tmp_path)]
        ended = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
        assert ended.returncode == 0, ended.stderr[-2000:]
    assert "sensor_reading: 575 lines = 575 silver + 0 quarantined + 0 duplicate" in ended.stdout
