"""Does our endpoint answer ten times as many requests as `mlflow models serve`, and goes on so?

Peer: `mlflow models serve` on the same forest, one worker each, one row a request in
`dataframe_split`, over kept connections on loopback. Both take turns, and the best of three rounds
counts. Ours checks each row, and writes it to a file before it answers; MLflow's keeps no record.
Then ours has half of its rate for a while, and two versions take over meanwhile.

    python -m tests.benchmarks.serve [SECONDS OF THE LOAD, 600]

Figures of 2026-12-02, two cores that the client shares, ten minutes of load:

    1 connection, lakehouse: 1,034 requests a second, p50 0.91 ms, p99 2.7 ms; mlflow: 56, 17.9 and
        24.7 ms; 18.6 times
    8 connections, lakehouse: 1,349 requests a second, p50 5.73 ms, p99 9.4 ms; mlflow: 43, 190 and
        278 ms; 31.1 times
    half of the rate, two versions more: 517 requests a second, p50 3.75 ms, p99 8.2 ms, longest
        98 ms, 0 errors; memory 370 to 374 MB

The same day, five minutes of load while the machine was faster: 1,642 and 1,593 requests a second,
p50 0.58 and 4.42 ms, 20.4 and 21.3 times; 817 requests a second for five minutes without an error.

The first run answered 23 requests a second: the listening socket named no protocol, so asyncio left
Nagle's algorithm on, and each answer waited 40 ms for the client's acknowledgement.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lakehouse.storage.mlflow_client import Sample, save_model
from tests.support.processes import family_of, memory_of
from tests.support.served import Works, fitted, sensors

FOREST = ("random_forest", {"n_estimators": 50, "min_samples_leaf": 3})
ROWS, ROUND, ROUNDS = 1_152, 4.0, 3
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Load:
    """What a round came to; latencies in milliseconds."""

    latencies: list[float] = field(default_factory=list)
    errors: int = 0
    seconds: float = 0.0
    cpu: float = 0.0

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    def told(self) -> str:
        p50, p99 = np.percentile(self.latencies, [50, 99])
        return (
            f"{self.rate:7.0f} requests a second, p50 {p50:.2f} ms, p99 {p99:.1f} ms, longest "
            f"{max(self.latencies):.0f} ms, {1_000 * self.cpu / len(self.latencies):.3f} ms of CPU "
            f"a request, {self.errors} errors"
        )


Body = Callable[[int], bytes]


def readings(number: int) -> bytes:
    """A whole reading: it lands."""
    names = '"pid","process_time","temp","pressure","duration"'
    values = f'{number + 1},"2024-03-01T10:00:00Z",{350 + number % 997 / 100},12.3,30.1'
    return f'{{"dataframe_split":{{"columns":[{names}],"data":[[{values}]]}}}}'.encode()


def features(number: int) -> bytes:
    names, values = '"temp","pressure","duration"', f"{350 + number % 997 / 100},12.3,30.1"
    return f'{{"dataframe_split":{{"columns":[{names}],"data":[[{values}]]}}}}'.encode()


async def ask(port: int, body: Body, until: float, load: Load, pause: float, start: int) -> None:
    """One connection; a pause of 0 asks again at once, else at that interval."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    number, due = start, time.perf_counter()
    while time.perf_counter() < until:
        content = body(number)
        began = time.perf_counter()
        writer.write(
            b"POST /invocations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(content), content)
        )
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        load.latencies.append(1_000 * (time.perf_counter() - began))
        load.errors += not head.startswith(b"HTTP/1.1 200")
        number += 1
        due = max(due + pause, time.perf_counter() - 1)
        if pause and due > time.perf_counter():
            await asyncio.sleep(due - time.perf_counter())
    writer.close()


def loaded(
    port: int, pid: int, body: Body, seconds: float, connections: int, rate: float = 0.0
) -> Load:
    """Ask a server for a while; without a rate as fast as it answers."""
    load, pause = Load(), connections / rate if rate else 0.0
    before, began = cpu_of(pid), time.perf_counter()

    async def together() -> None:
        until = time.perf_counter() + seconds
        starts = (10_000_000 * place + int(time.time() * 10) for place in range(connections))
        await asyncio.gather(*(ask(port, body, until, load, pause, start) for start in starts))

    asyncio.run(together())
    load.seconds, load.cpu = time.perf_counter() - began, cpu_of(pid) - before
    return load


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a server has had."""
    parts = (Path(f"/proc/{each}/stat").read_text().split() for each in family_of(pid))
    return sum(int(part[13]) + int(part[14]) for part in parts) / TICKS


def started(command: list[str], port: int, log: Path) -> subprocess.Popen[bytes]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # MLflow starts `uvicorn`
    with log.open("wb") as output:
        server = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            env={**os.environ, "PATH": path},
            start_new_session=True,  # MLflow's server is a process of its command's
        )
    while server.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5).read()
            return server
        except OSError:
            time.sleep(0.25)
    raise SystemExit(f"{command[1]} does not answer: {log.read_text()[-2_000:]}")


def end(server: subprocess.Popen[bytes]) -> None:
    """End a server and what it has started."""
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGTERM)
    server.wait()


def compare(servers: dict[str, tuple[int, int, Body]]) -> float:
    """Take turns; return our rate on one connection."""
    best: dict[tuple[int, str], Load] = {}
    for _ in range(ROUNDS):
        for connections in (1, 8):
            for name, (port, pid, body) in servers.items():
                load = loaded(port, pid, body, ROUND, connections)
                known = best.get((connections, name))
                if known is None or load.rate > known.rate:
                    best[connections, name] = load
    for connections in (1, 8):
        for name in servers:
            print(f"{connections} connections, {name:9}: {best[connections, name].told()}")
        own, peer = (best[connections, name].rate for name in servers)
        print(f"{connections} connections: {own / peer:.1f} times")
    return best[1, "lakehouse"].rate


def go_on(works: Works, server: tuple[int, int, Body], rate: float, seconds: float) -> None:
    """Half of the rate, in ten parts; before the fourth and the seventh another version comes."""
    port, pid, body = server
    every, memory = Load(), []
    for part in range(10):
        if part in (3, 6):
            works.promote(part, fitted(threshold=351 + part, family=FOREST, rows=sensors(ROWS)))
        load = loaded(port, pid, body, seconds / 10, 4, rate)
        every.latencies += load.latencies
        every.errors += load.errors
        every.seconds += load.seconds
        every.cpu += load.cpu
        memory.append(memory_of(pid))
    url = f"http://127.0.0.1:{port}/v2/health/ready"
    version = json.load(urllib.request.urlopen(url))["version"]
    print(f"half of the rate for {seconds:.0f} s, two versions more ({version}): {every.told()}")
    print(f"memory: {', '.join(f'{each:.0f}' for each in memory)} MB")
    time.sleep(12)
    print(f"{len(works.landed())} lines of this run have landed")


def main(seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        works, rows = Works(Path(folder) / "works"), sensors(ROWS)
        forest = fitted(family=FOREST, rows=rows)
        works.promote(1, forest)
        save_model(forest, Sample(rows, forest.predict(rows)), Path(folder) / "model")
        commands = {
            "lakehouse": ["jobs/serve.py", "--root", str(works.root), "--port", "18080"],
            "mlflow": [
                *("-m", "mlflow", "models", "serve", "-m", f"{folder}/model", "-p", "18081"),
                *("--env-manager", "local", "--workers", "1"),
            ],
        }
        ports = {"lakehouse": (18080, readings), "mlflow": (18081, features)}
        processes: dict[str, subprocess.Popen[bytes]] = {}
        try:
            for name, command in commands.items():
                log = Path(folder) / f"{name}.log"
                processes[name] = started([sys.executable, *command], ports[name][0], log)
            servers = {
                name: (ports[name][0], processes[name].pid, ports[name][1]) for name in commands
            }
            rate = compare(servers)
            end(processes["mlflow"])
            go_on(works, servers["lakehouse"], rate / 2, seconds)
        finally:
            for process in processes.values():
                end(process)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 600.0)
