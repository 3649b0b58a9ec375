"""Processes that tests start."""

import os

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
