"""Kills the demo again and again, and compares what it ends with to an undisturbed one.

`make soak` runs it: `python -m tests.kills.soak --kills 200 --seed 1 --folder .lakehouse/soak`.
Nothing is repaired by hand between a kill and the next start.
"""

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lakehouse.settings import load_model_settings
from lakehouse.storage.store import Store
from lakehouse.tables import catalog_of
from tests.support.alike import differences
from tests.support.truth import untrue

JOB = "jobs/demo.py"
AT_START = 0.15
"""Share of the kills that do not wait for the first night."""
GROUP, DRIVER, JVM = "everything", "Python alone", "Java alone"
SHARES = {GROUP: 0.6, DRIVER: 0.2, JVM: 0.2}
_SECONDS = 40.0
"""Longest time that a run goes on: several nights, on an idle machine."""
_PATIENCE = 120


@dataclass
class Soak:
    """Kills of one seed.

    Attributes:
        chance: decides when and what is killed.
        folder: where lakehouses lie.
        days: nights of the demo; None for all.
        killed: how often what was killed.
    """

    chance: random.Random
    folder: Path
    days: int | None
    killed: Counter[str] = field(default_factory=Counter)

    def command(self, root: Path) -> list[str]:
        """The words of a run."""
        days = ["--days", str(self.days)] if self.days else []
        return [JOB, "--root", str(root), *days]

    def undisturbed(self) -> Path:
        """The root of a run that nothing disturbs."""
        root = self.folder / "undisturbed"
        if not (root / "report" / "kpi.png").exists():
            shutil.rmtree(root, ignore_errors=True)
            subprocess.run([sys.executable, *self.command(root)], check=True, stdout=sys.stderr)
        return root

    def at_named_steps(self, root: Path) -> None:
        """Run to the end; each process dies at the first step at which none has died."""
        died_at = root.with_suffix(".steps")
        died_at.unlink(missing_ok=True)
        words = [sys.executable, "-m", "tests.kills.child", str(died_at), *self.command(root)]
        while (code := _ended(_started(words, root))) != 0:
            newest = died_at.read_text().splitlines()[-1]
            assert code == -signal.SIGKILL, f"exit code {code} after {newest}"
            self.killed["named"] += 1
            _say(f"{self.killed.total()}: {newest}")

    def at_random(self, root: Path, most: int) -> None:
        """Run to the end; processes die at random moments, as long as there are kills left."""
        while True:
            process = _started([sys.executable, *self.command(root)], root)
            if self.killed.total() >= most:
                assert _ended(process) == 0, _log(root)
                return
            if not self._survives(process):
                continue
            assert process.returncode == 0, f"exit code {process.returncode}: {_log(root)}"
            return

    def _survives(self, process: subprocess.Popen[str]) -> bool:
        """Kill a process, or a part of it, at a random moment; whether it ended before."""
        assert process.stdout
        seconds = self.chance.uniform(0, _SECONDS)
        if self.chance.random() > AT_START:
            process.stdout.read(1)  # its first night begins
        what = self.chance.choices(list(SHARES), list(SHARES.values()))[0]
        try:
            process.wait(seconds)
            return True
        except subprocess.TimeoutExpired:
            # Before Java has started there is but Python.
            what = what if _javas(process.pid) else GROUP
            _kill(process, what)
        self.killed[what] += 1
        _say(f"{self.killed.total()}: {what}, {seconds:.1f} s")
        return False


def _started(words: list[str], root: Path) -> subprocess.Popen[str]:
    root.parent.mkdir(parents=True, exist_ok=True)
    with root.with_suffix(".log").open("a") as log:
        return subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
        )


def _ended(process: subprocess.Popen[str]) -> int:
    process.communicate()
    return process.returncode


def _kill(process: subprocess.Popen[str], what: str) -> None:
    """Kill; return when nothing of the process is left."""
    if what == JVM:
        for pid in _javas(process.pid):
            os.kill(pid, signal.SIGKILL)
    elif what == DRIVER:
        process.kill()
    if what != GROUP:
        until = time.monotonic() + _PATIENCE
        # Java ends when its driver is gone, and the driver where Java is.
        while time.monotonic() < until and (process.poll() is None or _javas(process.pid)):
            time.sleep(0.1)
        assert process.poll() is not None, f"it goes on {_PATIENCE} s after {what} was killed"
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _javas(session: int) -> list[int]:
    """The Java processes of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = path.read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue  # it has just ended
        state, _, _, of_session = rest.split()[:4]
        if name == "java" and state != "Z" and int(of_session) == session:
            found.append(int(path.parent.name))
    return found


def _log(root: Path) -> str:
    return root.with_suffix(".log").read_text()[-2000:]


def _say(words: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {words}", flush=True)


def _compare(root: Path, undisturbed: Path) -> None:
    """Raise where tables differ, or the lakehouse is not what it promises."""
    catalog = catalog_of(load_model_settings("conf/glassware.yaml"))
    spark: Any = None  # tables are read without
    before, store = (Store(spark, str(each), catalog) for each in (undisturbed, root))
    found = [*differences(before, store), *untrue(store, root / "landing")]
    assert not found, "\n".join(found)
    words = [sys.executable, "jobs/verify.py", "--root", str(root)]
    verified = subprocess.run(words, check=False, capture_output=True, text=True)
    _say(verified.stdout)
    assert verified.returncode == 0, verified.stderr[-2000:]


def main() -> None:
    """Kill as often as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--folder", type=Path, default=Path(".lakehouse/soak"))
    parser.add_argument("--days", type=int)
    parser.add_argument("--named", action="store_true", help="first at each named step once")
    options = parser.parse_args()
    _say(f"seed {options.seed}")
    soak = Soak(random.Random(options.seed), options.folder.resolve(), options.days)
    undisturbed, number = soak.undisturbed(), 0
    while soak.killed.total() < options.kills or (options.named and number == 0):
        root = soak.folder / f"round-{options.seed}-{number}"
        shutil.rmtree(root, ignore_errors=True)
        if options.named and number == 0:
            soak.at_named_steps(root)
        else:
            soak.at_random(root, options.kills)
        _compare(root, undisturbed)
        _say(f"round {number} ended as the undisturbed run did; so far {dict(soak.killed)}")
        number += 1


if __name__ == "__main__":
    main()
