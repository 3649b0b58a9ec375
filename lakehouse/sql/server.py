"""An endpoint for JDBC and ODBC: Spark's Thrift server, on loopback, with a login."""

import getpass
import hashlib
import os
import secrets
import signal
import socket
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from lakehouse.errors import ConfigurationError, LakehouseError
from lakehouse.sql.catalogue import no_lakehouse, statements_of
from lakehouse.sql.prompt import names_of, quiet_environment, quiet_settings
from lakehouse.storage.session import LOCAL_PROPERTIES, open_session, read_properties

HOST = "127.0.0.1"
USER_VARIABLE, PASSWORD_VARIABLE = "LAKEHOUSE_SQL_USER", "LAKEHOUSE_SQL_PASSWORD"
_LEAST_LENGTH = 12
_CLASSES = Path(__file__).with_name("java")
_START_SECONDS = 60.0
# They log a stack trace for each client that is refused, errs (which it is told) or ends.
_TALKATIVE = (
    "org.apache.hadoop.hive.metastore.ObjectStore",
    "org.apache.hadoop.hive.ql.session.SessionState",
    "org.apache.hive.service.cli.session.HiveSessionImpl",
    "org.apache.hive.service.cli.thrift.ThriftCLIService",
    "org.apache.spark.scheduler.DAGScheduler",
    "org.apache.spark.sql.hive.thriftserver.SparkExecuteStatementOperation",
    "org.apache.spark.sql.hive.thriftserver.ui.HiveThriftServer2Listener",
    "org.apache.thrift.server.TThreadPoolServer",
    "org.apache.thrift.transport.TSaslTransport",
)


@dataclass(frozen=True)
class Login:
    """The one user of the endpoint, and where the password stands."""

    user: str
    password: str = field(repr=False)
    place: str

    @property
    def digest(self) -> bytes:
        """What the JVM is told: SHA-256 of the user, a NUL and the password."""
        return hashlib.sha256(f"{self.user}\0{self.password}".encode()).digest()


def login_of(root: Path, environment: Mapping[str, str]) -> Login:
    """The login of the environment's variables, else of `<root>/_system/sql_login`.

    The file is made if missing. It holds the user and the password, a line each, and is its
    owner's alone.

    Raises:
        ConfigurationError: one of the two is missing or short, or others may read the file.
    """
    user, password = environment.get(USER_VARIABLE), environment.get(PASSWORD_VARIABLE)
    if user or password:
        return _checked(
            Login(user or "", password or "", f"{USER_VARIABLE} and {PASSWORD_VARIABLE}")
        )
    path = root / "_system" / "sql_login"
    if path.parent.is_dir() and not path.exists():
        with os.fdopen(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
        ) as file:
            file.write(f"{getpass.getuser()}\n{secrets.token_urlsafe(24)}\n")
    try:
        state = path.stat()
    except FileNotFoundError:
        raise no_lakehouse(root) from None
    if state.st_uid != os.getuid() or stat.S_IMODE(state.st_mode) & 0o077:
        raise ConfigurationError(
            f"{path}: others may have read its password; delete it, and it is made anew"
        )
    lines = [*path.read_text(encoding="utf-8").splitlines(), "", ""]
    return _checked(Login(lines[0], lines[1], str(path)))


def _checked(login: Login) -> Login:
    if not login.user:
        raise ConfigurationError(f"{login.place}: no user; write one beside the password")
    if len(login.password) < _LEAST_LENGTH:
        raise ConfigurationError(
            f"{login.place}: write a password of {_LEAST_LENGTH} characters or more"
        )
    return login


def serve(root: Path, port: int, login: Login) -> None:
    """Serve a lakehouse's tables and views until the process is told to end (SIGINT, SIGTERM).

    All clients see the same names, registered before the first of them; each has a session of its
    own. What Spark and Hive write beside the tables lies in a folder that goes with the server.

    Raises:
        ConfigurationError: there is no lakehouse in that folder, or the port is taken.
        LakehouseError: Spark ended, or did not listen in time.
    """
    statements = statements_of(names_of(root))
    _check_free(port)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        suppress(KeyboardInterrupt),
        tempfile.TemporaryDirectory(prefix="lakehouse-sql-", ignore_cleanup_errors=True) as scratch,
        _session(Path(scratch), port) as spark,
    ):
        for statement in statements:
            spark.sql(statement)
        _start(spark, Path(scratch), login)
        _wait_until_listening(port)
        print(
            f"jdbc:hive2://{HOST}:{port}/gold for {login.user}, password in {login.place}",
            flush=True,
        )
        _wait_while_alive(spark)


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise ConfigurationError(
                f"--port: {port} is taken; write another (PORT=... for make)"
            ) from None


@contextmanager
def _session(scratch: Path, port: int) -> Iterator[SparkSession]:
    """A Spark with a folder for classes; its settings and environment hold no password."""
    (scratch / "classes").mkdir()
    properties = read_properties(LOCAL_PROPERTIES)
    settings = properties | quiet_settings(str(scratch)) | _server_settings(scratch, port)
    settings["spark.driver.extraClassPath"] += f":{scratch}/classes"
    file = scratch / "spark.properties"
    file.write_text(
        "".join(f"{key} {value}\n" for key, value in settings.items()), encoding="utf-8"
    )
    os.environ.update(quiet_environment(str(scratch)))
    os.environ.pop(PASSWORD_VARIABLE, None)
    spark = open_session(file)
    try:
        yield spark
    finally:
        with suppress(Exception):  # whoever ended this process may have ended Spark's before
            spark.stop()


def _server_settings(scratch: Path, port: int) -> dict[str, str]:
    hive = {
        "server2.thrift.bind.host": HOST,
        "server2.thrift.port": str(port),
        "server2.authentication": "CUSTOM",
        "server2.enable.doAs": "false",
        "server2.logging.operation.log.location": f"{scratch}/logs",
        "exec.scratchdir": f"{scratch}/hive",
    }
    return {
        # Clients that ask for columns are answered from the catalogue.
        "spark.databricks.delta.catalog.update.enabled": "true",
        **{f"spark.hadoop.hive.{key}": value for key, value in hive.items()},
    }


def _start(spark: SparkSession, scratch: Path, login: Login) -> None:
    """Start the server: its sessions only read, and who opens one has logged in."""
    jvm: Any = spark.sparkContext._jvm
    _compile(jvm, scratch / "classes")
    session: Any = spark._jsparkSession
    session.extensions().injectCheckRule(jvm.lakehouse.ReadOnly())
    # Hive makes the class in a thread that knows Java's own properties only, not Spark's.
    jvm.java.lang.System.setProperty(
        "hive.server2.custom.authentication.class", "lakehouse.SqlLogin"
    )
    jvm.lakehouse.SqlLogin.expect(bytearray(login.digest))
    log = jvm.org.apache.logging.log4j
    for name in _TALKATIVE:
        log.core.config.Configurator.setLevel(name, log.Level.OFF)
    jvm.org.apache.spark.sql.hive.thriftserver.HiveThriftServer2.startWithSparkSession(
        session, False
    )


def _compile(jvm: Any, folder: Path) -> None:
    """Compile the server's classes by the compiler that Spark brings: no JDK is needed."""
    for source in sorted(_CLASSES.glob("*.java")):
        compiler = jvm.org.codehaus.janino.SimpleCompiler()
        compiler.cook(source.read_text(encoding="utf-8"))
        for name, code in compiler.getBytecodes().items():
            path = folder / f"{name.replace('.', '/')}.class"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(code)


def _wait_until_listening(port: int) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.2)
    raise LakehouseError(
        f"the server did not listen on {HOST}:{port} within {_START_SECONDS:.0f} s; see its log "
        "above"
    )


def _wait_while_alive(spark: SparkSession) -> None:
    gateway: Any = spark.sparkContext._gateway
    while gateway.proc.poll() is None:
        time.sleep(0.5)
    raise LakehouseError("Spark ended; see its log above")
