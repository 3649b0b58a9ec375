"""Threads of Python that streams have called."""

from typing import Any

from py4j.java_gateway import JavaObject
from pyspark.sql import SparkSession


def end_idle_callbacks(spark: SparkSession) -> None:
    """End the threads that served streams of the past, unless a stream runs and may need its own.

    Py4J opens a connection for each thread of Java that calls Python, so for each stream, and a
    thread of Python serves it. Both stay when the stream has ended, with the memory that
    allocators keep for the thread.
    """
    if spark.streams.active:
        return
    gateway: Any = spark.sparkContext._gateway
    server = JavaObject("GATEWAY_SERVER", gateway._gateway_client)  # as PySpark finds it
    address = server.getCallbackClient().getAddress()
    server.resetCallbackClient(address, gateway._python_proxy_port)
