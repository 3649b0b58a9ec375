"""Run once by `make setup` under spark-submit, which has resolved the jars of the properties file
when this starts. It asks for their places alone: a Spark context would take seconds longer.

They are copied to where `spark.driver.extraClassPath` looks: the local file system's class is
needed before Spark adds the jars that it resolved, and so is Delta's by SQL endpoints.
"""

import shutil
import sys
from pathlib import Path

from pyspark.java_gateway import launch_gateway

target = Path(sys.argv[1])
target.mkdir(parents=True, exist_ok=True)
jars = launch_gateway().jvm.System.getProperty("spark.jars") or ""
for jar in filter(None, jars.split(",")):
    shutil.copy(jar.removeprefix("file:").replace("//", "/"), target)
