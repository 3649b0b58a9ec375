"""The jobs as a user calls them: help, and one sentence where something is wrong. No Spark is
started.
"""

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from lakehouse.app import command_line
from lakehouse.errors import StoreError, words_of
from lakehouse.settings import EnvironmentSettings
from tests.support.processes import environment_of

JOBS = sorted(path for path in Path("jobs").glob("*.py") if path.stem != "__init__")


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.stem)
def test_each_job_shows_its_options(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
def test_a_span_that_is_none_is_refused_before_spark_starts(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        importlib.import_module("jobs.aggregate_kpis").main(words)
    assert end.value.code == 2
    assert says in capsys.readouterr().err


def in_python_worker(_: Sequence[str] | None) -> None:
    raise RuntimeError(
        "Job aborted.\nTraceback (most recent call last):\n  File x\nValueError: 7 is no "
        "class\n\n\tat org.x"
    )


def noted(_: Sequence[str] | None) -> None:
    error = KeyError("x")
    error.add_note("micro-batch 3 of the stream score")
    raise error


class Panic(BaseException):
    """What a library in Rust raises."""


def panicked(_: Sequence[str] | None) -> None:
    raise Panic


@pytest.mark.parametrize(
    ("main", "says"),
    [
        (
            in_python_worker,
            "error: RuntimeError: ValueError: 7 is no class; nothing that was done is lost: run",
        ),
        (noted, "error: KeyError: … (micro-batch 3 of the stream score); nothing"),
        (panicked, "error: Panic: no words; nothing"),
    ],
)
def test_what_nobody_has_foreseen_is_one_sentence_and_its_trace_lies_where_that_says(
    main: Callable[[Sequence[str] | None], None],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(command_line, "_opened_roots", [str(tmp_path)])
    assert command_line.exit_code_of(main) == 3
    told = capsys.readouterr().err
    assert told.startswith(says)
    assert told.count("\n") == 1
    trace = Path(told.rstrip("\n").split("which lies in ")[1])
    assert trace.parent == tmp_path / "_system" / "log"
    assert main.__name__ in trace.read_text()


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (StoreError("it is full"), 2, "error: it is full\n"),
        (KeyboardInterrupt(), 130, ""),
        (SystemExit(2), 2, ""),
        (SystemExit(), 0, ""),
    ],
)
def test_exit_codes_tell_what_a_person_can_mend_from_an_interruption(
    error: BaseException, code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(_: Sequence[str] | None) -> None:
        raise error

    assert command_line.exit_code_of(main) == code
    assert capsys.readouterr().err == says


NEVER_TORN_DOWN = """
import atexit, time
from lakehouse.app.command_line import run_job

class SlowToGo:
    def __del__(self, sleep=time.sleep):
        sleep(60)  # the interpreter calls it while it is torn down

kept = SlowToGo()

def main(_):
    atexit.register(print, "ended")
    print("done", end=" ")
    return 7

run_job(main)
"""


@pytest.mark.slow
def test_a_job_ends_at_once_with_its_code_and_what_it_wrote_without_tearing_python_down() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", NEVER_TORN_DOWN],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (7, "done ended\n", "")


@pytest.mark.slow
def test_a_wrong_configuration_is_one_sentence_that_names_the_key(tmp_path: Path) -> None:
    model = tmp_path / "model.yaml"
    model.write_text(
        Path("conf/glassware.yaml").read_text().replace("first_after: ", "frist_after: ")
    )
    failed = run("jobs/ingest.py", "--model", str(model), "--root", str(tmp_path / "root"))
    assert failed.returncode == 2
    assert "training.frist_after: is not a setting; write one of" in failed.stderr
    assert "training.first_after: is missing; write a value for it" in failed.stderr
    assert "Traceback" not in failed.stderr


@pytest.mark.slow
def test_a_wrong_trigger_is_one_sentence(tmp_path: Path) -> None:
    failed = run("jobs/score.py", "--trigger", "soon", "--root", str(tmp_path / "root"))
    assert failed.returncode == 2
    assert failed.stderr.startswith("error: --trigger: write `available-now` or an interval")


@pytest.mark.slow
def test_the_whole_way_by_spark_submit_ends_well_and_the_account_balances(tmp_path: Path) -> None:
    submit = [
        str(Path(sys.executable).with_name("spark-submit")),
        "--properties-file",
        "conf/spark-local.properties",
    ]
    environment = environment_of(PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    landing = str(tmp_path / "landing")
    assert run("jobs/simulate.py", "--landing", landing, "--until", "2019-07-04").returncode == 0
    for job in ("run_pipeline", "account"):
        words = [*submit, f"jobs/{job}.py", "--root", str(tmp_path)]
        ended = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
        assert ended.returncode == 0, ended.stderr[-2000:]
    assert "sensor_reading: 575 lines = 575 silver + 0 quarantined + 0 duplicate" in ended.stdout


def test_an_error_whose_words_are_gone_with_sparks_process_is_still_told_of() -> None:
    class Gone:
        def __str__(self) -> str:
            raise ConnectionRefusedError

    error = ValueError()
    error.java_exception = Gone()  # type: ignore[attr-defined]
    assert "has ended" in words_of(error)


@pytest.mark.parametrize(("lease", "held"), [(True, ["maintain"]), (None, [])])
def test_work_is_held_by_a_lease_too_where_the_environment_asks_for_one(
    lease: bool | None, held: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases: list[str] = []
    monkeypatch.setattr(command_line, "hold_leases", lambda root, work: leases.extend(work))
    monkeypatch.setattr(command_line, "hold_work", lambda root, work: None)
    command_line.hold_alone(EnvironmentSettings(root=str(tmp_path), lease=lease), ["maintain"])
    assert leases == held
