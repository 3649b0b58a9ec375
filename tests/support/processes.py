"""Processes that tests start."""

import os
import resource
from pathlib import Path

_QUICK_START = {"JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1"}


def environment_of(**variables: str) -> dict[str, str]:
    """This process's variables and those given, for a process that may start Spark.

    Its JVM has the quick compiler alone: it ends before what the thorough one compiles, on cores
    that the tests need, has paid (the whole way by spark-submit takes 72 s in place of 118 s on two
    cores). The session that the tests share lives for minutes, and is better off with both. The
    launcher `java` reads the variable, so each JVM has it, however it is started: spark-submit and
    the SQL server make its other options in ways of their own.
    """
    return {**os.environ, **_QUICK_START, **variables}


def family_of(pid: int) -> list[int]:
    """A process and those that it and its threads have started, as far as they still live."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").glob("*/children"))
        children = [child for task in tasks for child in task.read_text().split()]
    except OSError:  # it has just ended
        return [pid]
    return [pid, *(each for child in children for each in family_of(int(child)))]


def memory_of(pid: int) -> float:
    """Megabytes of memory that a process has.

    Raises:
        OSError: it has ended.
    """
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20
