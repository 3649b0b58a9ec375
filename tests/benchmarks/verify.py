"""Memory and time of `jobs/verify.py` as a lakehouse grows.

    python -m tests.benchmarks.verify 100000 1000000

FIGURES
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from lakehouse.glassware.gateway import land_until
from lakehouse.glassware.pieces import START, Stream

DAYS = 41


def measured(pieces: int) -> str:
    """Land that many pieces in six weeks, run the pipeline and verify; figures in words."""
    folder = Path(tempfile.mkdtemp(prefix="verify-"))
    stream = Stream("stable", pieces=pieces, period=DAYS * 86_400 / pieces)
    land_until(stream, folder / "landing", START + timedelta(days=DAYS + 3), lines_per_file=100_000)
    run(folder, "jobs/run_pipeline.py")
    began = time.monotonic()
    peak = run(folder, "jobs/verify.py")
    seconds = time.monotonic() - began
    shutil.rmtree(folder)
    return f"{pieces:>10,} pieces: {seconds:6.0f} s; its largest process held {peak:,.0f} MB"


def run(folder: Path, job: str) -> float:
    """Run a job on the lakehouse in a folder; return the most megabytes that a process of it held,
    Java's among them.
    """
    process = subprocess.Popen(
        [sys.executable, job, "--root", str(folder)], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, status
    return usage.ru_maxrss / 1024


if __name__ == "__main__":
    for words in sys.argv[1:]:
        print(measured(int(words)), flush=True)
