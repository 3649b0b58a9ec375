"""A job that kills itself, Spark and workers with it, at the first named step that is new.

`python -m tests.kills.child STEPS jobs/demo.py …`: STEPS is a file of the names at which earlier
processes have died; this one adds its own.
"""

import os
import runpy
import signal
import sys
from pathlib import Path

from tests.support.kills import Steps, stepping


def main(died_at: Path, job: str, words: list[str]) -> None:
    """Run the job with its words until a new step."""
    known = set(died_at.read_text().splitlines()) if died_at.exists() else set()

    def die(name: str) -> None:
        with died_at.open("a") as file:
            file.write(f"{name}\n")
        os.killpg(0, signal.SIGKILL)

    sys.argv = [job, *words]
    with stepping(Steps(lambda name: name not in known, die)):
        runpy.run_path(job, run_name="__main__")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
