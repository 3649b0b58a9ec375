"""Spark's own master and workers, as processes of this machine.

Each worker stands for a machine of one core: it is held to a core of its own, with the executors and
the Python processes that it starts. Without that, one executor compiles, collects garbage and runs
Python on the cores of all the others, and a second one adds nothing that the first had not.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyspark

_SPARK_CLASS = Path(pyspark.__file__).parent / "bin" / "spark-class"
_HOST = "127.0.0.1"
_PATIENCE = 180.0


@dataclass
class Cluster:
    """A master, and workers of one core each.

    Attributes:
        folder: for logs and the files of executors.
        port: of the master.
        page: port of the master's page.
        workers: their processes, each the leader of a group.
    """

    folder: Path
    port: int
    page: int
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """What `--master` takes."""
        return f"spark://{_HOST}:{self.port}"

    def start_worker(self) -> None:
        """Start a worker, and wait until the master knows it."""
        number = len(self.workers)
        words = ["--host", _HOST, "--cores", "1", "--memory", "3g", "--webui-port", "0"]
        words += ["--work-dir", str(self.folder / f"work-{number}"), self.url]
        log = self.folder / f"worker-{number}.log"
        worker = _started("worker.Worker", words, log, core_of(number))
        self.workers.append(worker)
        self.wait_for(len([each for each in self.workers if each.poll() is None]))

    def wait_for(self, workers: int) -> None:
        """Wait until the master knows so many workers.

        Raises:
            TimeoutError: it does not within three minutes.
        """
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            if self._alive_workers() == workers:
                return
            time.sleep(0.2)
        raise TimeoutError(f"{self.url}: it does not know {workers} workers; see {self.folder}")

    def _alive_workers(self) -> int:
        try:
            with urllib.request.urlopen(f"http://{_HOST}:{self.page}/json/", timeout=5) as answer:
                return int(json.load(answer)["aliveworkers"])
        except OSError:
            return 0  # it has not started yet

    def kill_worker(self) -> None:
        """Kill the newest worker with all that it runs, as a machine that is gone."""
        for group in _groups_under(self.workers[-1].pid):
            os.killpg(group, signal.SIGKILL)
        self.workers[-1].wait()


@contextmanager
def cluster(folder: Path, workers: int) -> Iterator[Cluster]:
    """A cluster that ends with the context.

    Args:
        folder: for logs and the files of executors; made where it is not.
        workers: how many.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port, page = _free_port(), _free_port()
    words = ["--host", _HOST, "--port", str(port), "--webui-port", str(page)]
    found = Cluster(folder, port, page)
    master = _started("master.Master", words, folder / "master.log")
    try:
        for _ in range(workers):
            found.start_worker()
        yield found
    finally:
        for process in (*found.workers, master):
            for group in _groups_under(process.pid):
                os.killpg(group, signal.SIGKILL)
            process.wait()


def core_of(worker: int) -> set[int]:
    """The core that a worker is held to, in turn of those that this process may use."""
    cores = sorted(os.sched_getaffinity(0))
    return {cores[worker % len(cores)]}


def _started(
    name: str, words: list[str], log: Path, cores: set[int] | None = None
) -> subprocess.Popen[bytes]:
    settings = {
        **os.environ,
        "SPARK_LOCAL_IP": _HOST,
        "SPARK_DAEMON_MEMORY": "512m",
        "PYSPARK_PYTHON": sys.executable,
    }
    with log.open("ab") as file:
        process = subprocess.Popen(
            [str(_SPARK_CLASS), f"org.apache.spark.deploy.{name}", *words],
            stdout=file,
            stderr=file,
            env=settings,
            start_new_session=True,
        )
    if cores:
        os.sched_setaffinity(process.pid, cores)  # before Java has started its threads
    return process


def _groups_under(pid: int) -> set[int]:
    """The process groups of a process and of all that descend from it."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        parents[int(path.parent.name)] = int(after_name[1]), int(after_name[2])
    found, waiting = set(), [pid]
    while waiting:
        each = waiting.pop()
        found |= {parents[each][1]} if each in parents else set()
        waiting += [child for child, (parent, _) in parents.items() if parent == each]
    return found


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((_HOST, 0))
        return int(free.getsockname()[1])
