"""A SQL prompt on a lakehouse: spark-sql that knows all tables and views and leaves no trace."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from threading import Thread
from typing import TextIO

from lakehouse.sql.catalogue import at_root, no_lakehouse
from lakehouse.storage.session import LOCAL_PROPERTIES

# Queries of gold are short: with the quick compiler alone, the first answer comes in two thirds of
# the time.
_QUICK_START = " -XX:TieredStopAtLevel=1"
_HEADER = "spark.sql.cli.print.header"


def open_prompt(root: Path, query: str | None = None) -> int:
    """Open the prompt, or answer one query (several with `;` between them) on standard output.

    The catalog is in memory, and what Spark and Hive write beside it lies in a folder that goes
    with the prompt: no metastore, no Derby. Tables are read at their newest version, so the
    pipeline may run meanwhile.

    Args:
        root: the lakehouse's folder.
        query: what to answer; None to ask the person at the terminal.

    Returns:
        The exit code of spark-sql.

    Raises:
        ConfigurationError: there is no lakehouse in that folder.
    """
    statements = names_of(root)
    with tempfile.TemporaryDirectory(prefix="lakehouse-sql-") as scratch:
        init = Path(scratch) / "tables.sql"
        init.write_text(f"{statements}SET {_HEADER}=true;\n", encoding="utf-8")
        settings = [
            word for pair in quiet_settings(scratch).items() for word in ("--conf", "=".join(pair))
        ]
        words = [
            str(Path(sys.executable).with_name("spark-sql")),
            "--properties-file",
            str(LOCAL_PROPERTIES),
        ]
        words += [*settings, "-i", str(init)]
        # Ctrl-C is for the prompt, which cancels a query; this process only waits to clear up.
        before = signal.signal(signal.SIGINT, lambda *_: None)
        try:
            return _run(words, query, scratch)
        finally:
            signal.signal(signal.SIGINT, before)


def names_of(root: Path) -> str:
    """The statements that give the lakehouse's tables and views names.

    Raises:
        ConfigurationError: there is no lakehouse in that folder.
    """
    try:
        written = (root / "_system" / "tables.sql").read_text(encoding="utf-8")
    except FileNotFoundError:
        raise no_lakehouse(root) from None
    return at_root(written, str(root.resolve()))


def quiet_settings(scratch: str) -> dict[str, str]:
    """Settings of a Spark that only answers."""
    return {"spark.sql.warehouse.dir": f"{scratch}/warehouse"}


def quiet_environment(scratch: str) -> dict[str, str]:
    """Variables of its environment: loopback only, and its files in `scratch`."""
    options = f"-Djava.io.tmpdir={scratch} -Dderby.stream.error.file={scratch}/derby.log"
    return {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_SUBMIT_OPTS": options}


def _run(words: list[str], query: str | None, scratch: str) -> int:
    """Run spark-sql without what it says of the statements that are not the person's own."""
    own = [] if query is None else ["-e", query]
    environment = {**os.environ, **quiet_environment(scratch)}
    environment["SPARK_SUBMIT_OPTS"] += _QUICK_START
    piped = None if query is None else subprocess.PIPE
    with subprocess.Popen(
        [*words, *own], env=environment, stdout=piped, stderr=subprocess.PIPE, text=True
    ) as process:
        n_statements = (Path(scratch) / "tables.sql").read_text(encoding="utf-8").count(";\n")
        assert process.stderr is not None
        messages = Thread(target=_relay_messages, args=(process.stderr, n_statements))
        messages.start()
        if process.stdout is not None:
            _relay_answers(process.stdout)
        messages.join()
        return process.wait()


def _relay_answers(answers: Iterable[str]) -> None:
    """Standard output from the last of the statements that give names on."""
    lines = iter(answers)
    for line in lines:
        if line.startswith(f"{_HEADER}\t"):
            break
    for line in lines:
        print(line, end="", flush=True)


def _relay_messages(messages: TextIO, n_statements: int) -> None:
    """Standard error without the time that each of those statements took."""
    for line in messages:
        if n_statements and line.startswith("Time taken: "):
            n_statements -= 1
        elif "Using incubator modules" not in line:
            print(line, end="", file=sys.stderr, flush=True)
