"""One process at a time does a kind of work; who comes second is told who is at it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakehouse.errors import LOCKED, LockedError
from lakehouse.storage.delta import locks
from lakehouse.storage.delta.leases import Lease
from tests.support.batch_reports import rows_of
from tests.support.processes import environment_of

HOLD = """
import sys
from lakehouse.storage.delta.locks import hold_work
sys.argv[0] = "jobs/run_pipeline.py"
hold_work(sys.argv[1], sys.argv[2:])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test holds is free after it."""
    own: list[locks.TextIO] = []
    monkeypatch.setattr(locks, "_held", own)
    yield
    for file in own:
        file.close()


def _holder(root: Path, *kinds: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", HOLD, str(root), *kinds]
    other = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout and other.stdout.readline() == "held\n"
    return other


def test_the_second_is_told_who_is_at_work_and_since_when(tmp_path: Path) -> None:
    with _holder(tmp_path, "ingest", "score") as other:
        words = rf"score is being done by run_pipeline\.py \(process {other.pid} of .*\) since 20"
        with pytest.raises(LockedError, match=words):
            locks.hold_work(str(tmp_path), ["score"])
        locks.hold_work(str(tmp_path), ["aggregate_kpis"])  # other work may go on beside it
        other.communicate("")


def test_work_is_free_as_soon_as_its_process_is_killed(tmp_path: Path) -> None:
    with _holder(tmp_path, "score") as other:
        other.kill()
        other.wait()
    locks.hold_work(str(tmp_path), ["score"])


def test_a_lock_that_says_nothing_yet_is_another_process_s(tmp_path: Path) -> None:
    with _holder(tmp_path, "score") as other:
        (tmp_path / "_system" / "locks" / "work-score.lock").write_text("")
        with pytest.raises(LockedError, match="done by another process; let it end"):
            locks.hold_work(str(tmp_path), ["score"])
        other.communicate("")


@pytest.mark.parametrize("job", ["run_pipeline", "score"])
def test_a_job_whose_work_another_one_does_ends_before_it_has_done_anything(
    job: str, tmp_path: Path
) -> None:
    root = tmp_path / "lakehouse"
    with _holder(root, "score") as other:
        ended = subprocess.run(
            [sys.executable, f"jobs/{job}.py", "--root", str(root)],
            env=environment_of(JAVA_HOME="/nowhere"),  # Spark could not even start
            capture_output=True,
            text=True,
            check=False,
        )
        other.communicate("")
    assert ended.returncode == LOCKED
    assert ended.stderr.count("\n") == 1
    assert "score is being done by run_pipeline.py" in ended.stderr
    assert not (root / "bronze").exists() and not (root / "silver").exists()
    assert [(row["job"], row["outcome"]) for row in rows_of(root, "job_run")] == [(job, "locked")]


def test_a_job_whose_lease_another_machine_holds_ends_before_it_has_done_anything(
    tmp_path: Path,
) -> None:
    root = tmp_path / "lakehouse"
    environment = tmp_path / "shared.yaml"
    environment.write_text(f"root: {root}\nlease: true\n")
    Lease(str(root), "score").take()
    ended = subprocess.run(
        [sys.executable, "jobs/run_pipeline.py", "--environment", str(environment)],
        env=environment_of(JAVA_HOME="/nowhere"),  # Spark could not even start
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == LOCKED
    assert "score is being done by" in ended.stderr and "its lease ends at" in ended.stderr
    assert not (root / "bronze").exists() and not (root / "silver").exists()
