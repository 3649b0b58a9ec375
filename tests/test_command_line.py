"""The jobs as a user calls them: help, and one sentence where something is wrong. No Spark is started."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

JOBS = sorted(path for path in Path("jobs").glob("*.py") if path.stem != "__init__")


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.stem)
def test_each_job_tells_its_options(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        importlib.import_module(f"jobs.{job.stem}").main(["--help"])
    assert end.value.code == 0
    assert "usage:" in capsys.readouterr().out


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
