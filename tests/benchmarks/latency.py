"""How long is it from a landed reading to a prediction that can be read, in an application that goes
on?

A file of so many readings lands each second, by an atomic rename. Its latency ends with the commit of
silver.predicted_quality that has its rows: with the modification time of that commit's file. The
application is `jobs/run_pipeline.py --trigger "1 second"`, a process of its own, with a champion
trained before. At its end it is told to end (SIGTERM).

    python -m tests.benchmarks.latency [MINUTES] [PIECES_A_SECOND] [ROOT]

It prints latencies minute by minute, what the application took of the processor, and how many files
and bytes there are. The tables of ROOT stay where it is given.

Figures of 2026-12-02, two cores, nothing else at work, ten minutes of 1,000 pieces a second:

| | p50 | p95 | longest |
|---|---|---|---|
| minute 1 | 0.83 s | 1.15 s | 1.31 s |
| minute 2 | 0.61 s | 1.04 s | 1.22 s |
| minute 5 | 0.85 s | 1.12 s | 1.44 s |
| minute 10 | 0.97 s | 1.44 s | 1.49 s |
| all | 0.84 s | 1.19 s | 1.57 s |

1,000 readings were behind at the end of each minute. The application took 0.9 to 1.1 processors.
After ten minutes the tables on the way had 14 to 49 files and 615 commits, and their logs 2 to 4 MB.
Maintenance did not run, so old files stay on disk (640 of a table).

What it took, from a first run of p50 2.5 s and p95 5.1 s: Delta's checksum (`.crc`) beside each
commit of delta-rs, without which Spark runs a job at each opening (159 to 214 ms, 29 to 33 with it);
the facts of up to a million rows on the driver (180,000 rows: 1.0 s, by Spark 6.7 s); and threads of
the driver that take turns each half millisecond.
"""

import datetime as dt
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable

from lakehouse.glassware.gateway import LABELS, READINGS, json_lines
from lakehouse.glassware.pieces import FIRST_PID, Stream

HISTORY = Stream()
LIVE = Stream(pieces=10_000_000, period=0.001, seed=1)
LIVE_PIDS, LIVE_BEGAN = 1_000_000, np.timedelta64(9, "D")
TABLES = (
    "bronze/landed_file",
    "bronze/sensor_reading",
    "silver/sensor_reading",
    "silver/scoring_ledger",
    "silver/predicted_quality",
    "gold/profile_metrics",
)
PATIENCE = 300.0
_PAUSE = 0.5


@dataclass
class Application:
    """The job, its processes, and what they took of the processor."""

    root: Path
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        """Start it, in a session of its own."""
        words = [sys.executable, "jobs/run_pipeline.py", "--root", str(self.root)]
        self.process = subprocess.Popen([*words, "--trigger", "1 second"], start_new_session=True)

    def processor_seconds(self) -> float:
        """Of all its processes that live."""
        return sum(_processor_seconds(self.process.pid))

    def end(self) -> tuple[int, float]:
        """Tell it to end; return its exit code and how long it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE)
        return code, time.monotonic() - began


def _processor_seconds(session: int) -> Iterator[float]:
    ticks = os.sysconf("SC_CLK_TCK")
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:  # it has just ended
            continue
        if int(fields[3]) == session:
            yield (int(fields[11]) + int(fields[12])) / ticks


def land(folder: Path, name: str, rows: pa.Table) -> float:
    """Land rows as a file of lines, at once; return when."""
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f".{name}"
    unfinished.write_text("".join(json_lines(rows)))
    os.utime(unfinished)
    unfinished.rename(folder / f"{name}.jsonl")
    return time.time()


def live_readings(first: int, last: int) -> pa.Table:
    """Readings of live pieces: those of the stream, of other pieces, of a later day."""
    rows = LIVE.readings(first, last)
    times = pa.array(rows["process_time"].to_numpy() + LIVE_BEGAN, pa.timestamp("us", "UTC"))
    pids = pc.add(rows["pid"], LIVE_PIDS)
    return rows.set_column(0, "pid", pids).set_column(1, "process_time", times)


def prepare(root: Path) -> None:
    """Eight days of a plant, and a champion."""
    land(root / "landing" / READINGS, "history", HISTORY.readings(1, 1600))
    land(root / "landing" / LABELS, "history", HISTORY.labels(1, 1400))
    words = [sys.executable, "jobs/run_pipeline.py", "--root", str(root)]
    subprocess.run(words, check=True)


def predicted(root: Path) -> int:
    """How many predictions can be read."""
    actions = pa.table(DeltaTable(root / "silver" / "predicted_quality").get_add_actions())
    return int(pc.sum(actions["num_records"]).as_py() or 0)


def wait_for(root: Path, rows: int) -> bool:
    """Wait until so many predictions can be read."""
    until = time.monotonic() + PATIENCE
    while predicted(root) < rows and time.monotonic() < until:
        time.sleep(_PAUSE)
    return predicted(root) >= rows


def readable_at(root: Path, rate: int) -> dict[int, float]:
    """When all predictions of each second's readings could be read, by the second."""
    table, found = root / "silver" / "predicted_quality", dict[int, float]()
    first = FIRST_PID + LIVE_PIDS + 1
    for commit in sorted((table / "_delta_log").glob("*.json")):
        actions = [json.loads(line) for line in commit.read_text().splitlines()]
        added = [action["add"] for action in actions if "add" in action]
        for file in (each for each in added if each["dataChange"]):
            pids = pq.read_table(table / unquote(file["path"]), columns=["pid"])["pid"].to_numpy()
            for second in np.unique((pids[pids >= first] - first) // rate).tolist():
                found[second] = max(found.get(second, 0.0), commit.stat().st_mtime)
    return found


def latencies(root: Path, landed: dict[int, float], rate: int) -> list[float]:
    """Of each second's file, in their order; infinite where it has no predictions."""
    readable = readable_at(root, rate)
    return [readable.get(second, float("inf")) - at for second, at in landed.items()]


def sizes(root: Path) -> str:
    """For each table: files that are part of it, files on disk, commits, bytes of its log."""
    lines = []
    for name in TABLES:
        path, log = root / name, root / name / "_delta_log"
        current = len(DeltaTable(path).file_uris())
        on_disk = len(list(path.rglob("*.parquet"))) - len(list(log.glob("*.parquet")))
        log_bytes = sum(file.stat().st_size for file in log.iterdir())
        commits = len(list(log.glob("*.json")))
        lines.append(
            f"  {name}: {current} files, {on_disk} on disk, {commits} commits, log "
            f"{log_bytes / 2**20:.1f} MB"
        )
    checkpoints = [path for path in (root / "_system/checkpoints").rglob("*") if path.is_file()]
    return "\n".join([*lines, f"  checkpoints of streams: {len(checkpoints)} files"])


def run_for(root: Path, application: Application, minutes: int, rate: int) -> dict[int, float]:
    """Land a file a second; say each minute how it goes."""
    landed: dict[int, float] = {}
    already, began = predicted(root), time.monotonic()
    taken = application.processor_seconds()
    for second in range(minutes * 60):
        assert application.process.poll() is None, "it has ended"
        time.sleep(max(0.0, began + second - time.monotonic()))
        name = f"live-{second:06}"
        rows = live_readings(second * rate + 1, (second + 1) * rate)
        landed[second] = land(root / "landing" / READINGS, name, rows)
        if second % 60 == 59:
            behind = len(landed) * rate - (predicted(root) - already)
            share = (application.processor_seconds() - taken) / (time.monotonic() - began)
            load = os.getloadavg()[0]
            print(
                f"minute {second // 60 + 1}: {behind:,} readings behind, {share:.2f} processors, "
                f"load of the machine {load:.1f}\n{sizes(root)}",
                flush=True,
            )
    print("all predicted:", wait_for(root, already + len(landed) * rate))
    return landed


def main(minutes: int, rate: int, root: Path) -> None:
    """Prints latencies, and what they cost."""
    if not (root / "silver" / "predicted_quality" / "_delta_log").exists():
        prepare(root)
    application = Application(root)
    try:
        wait_for_streams(root, application)
        landed = run_for(root, application, minutes, rate)
    finally:
        code, took = application.end()
        print(f"ended with {code} after {took:.1f} s")
    found = np.array(latencies(root, landed, rate))
    for minute in range(minutes):
        part = found[minute * 60 : (minute + 1) * 60]
        print(f"minute {minute + 1}: {_in_words(part)}")
    print(f"all: {_in_words(found)}")


def wait_for_streams(root: Path, application: Application) -> None:
    """Wait until the streams run: the first pass may take in one reading, and no second one."""
    for number in range(2):
        assert application.process.poll() is None, "it has ended"
        before = predicted(root)
        land(root / "landing" / READINGS, f"first-{time.time_ns()}", live_first(number))
        print("the streams run:", wait_for(root, before + 1), f"{dt.datetime.now():%H:%M:%S}")


def live_first(number: int) -> pa.Table:
    """One reading, whose prediction tells that a stream runs; another one each time."""
    rows = live_readings(1, 1)
    pid = 500_000 + (2 * int(time.time()) + number) % 400_000
    return rows.set_column(0, "pid", pa.array([pid]))


def _in_words(found: np.ndarray) -> str:
    p50, p95 = np.quantile(found, [0.5, 0.95])
    return f"p50 {p50:.2f} s, p95 {p95:.2f} s, longest {found.max():.2f} s"


if __name__ == "__main__":
    given = [*sys.argv[1:], *["10", "1000"][len(sys.argv) - 1 :]]
    if len(given) > 2:
        main(int(given[0]), int(given[1]), Path(given[2]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(int(given[0]), int(given[1]), Path(folder))
