import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from impala.dbapi import connect
from pyspark.sql import SparkSession
from thrift.transport.TTransport import TTransportException

from lakehouse.app.opening import open_lakehouse
from lakehouse.errors import ConfigurationError
from lakehouse.settings import EnvironmentSettings, load_model_settings
from lakehouse.sql.server import PASSWORD_VARIABLE, USER_VARIABLE, login_of, serve
from lakehouse.storage.lakehouse import Lakehouse
from tests.support.processes import environment_of
from tests.support.rows import moment
from tools.sql_doc import DOCUMENT, programs

USER, PASSWORD = "bi", "correct horse battery"
MODEL = load_model_settings("conf/glassware.yaml")


@dataclass(frozen=True)
class Server:
    """A running server: its process, where it was started, where its temporary files lie, what it
    serves.
    """

    process: subprocess.Popen[str]
    port: int
    workplace: Path
    scratch: Path
    lakehouse: Lakehouse

    def ask(
        self, sql: str, password: str | None = PASSWORD, user: str = USER, **other: Any
    ) -> list[tuple[Any, ...]]:
        """The answer to a query, by a client of HiveServer2's protocol."""
        login = {"user": user, "password": password, "auth_mechanism": "PLAIN", "timeout": 30}
        with closing(connect("127.0.0.1", self.port, **(login | other))) as connection:
            cursor = connection.cursor()
            cursor.execute(sql)
            return list(cursor.fetchall())


@pytest.fixture(scope="module")
def server(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    lakehouse = open_lakehouse(spark, MODEL, EnvironmentSettings(root=str(folder / "lakehouse")))
    workplace, scratch = folder / "work", folder / "scratch"
    workplace.mkdir()
    scratch.mkdir()
    for name in ("conf", ".venv"):
        (workplace / name).symlink_to(Path(name).resolve())
    port = _free_port()
    words = [
        sys.executable,
        str(Path("jobs/sql_server.py").resolve()),
        "--root",
        lakehouse.store.root,
        "--port",
        str(port),
    ]
    environment = environment_of(TMPDIR=str(scratch), PYTHONPATH=str(Path.cwd()))
    environment |= {USER_VARIABLE: USER, PASSWORD_VARIABLE: PASSWORD}
    log = (folder / "log").open("w+")
    process = subprocess.Popen(
        words, cwd=workplace, env=environment, text=True, stdout=subprocess.PIPE, stderr=log
    )
    assert process.stdout is not None
    said = process.stdout.readline()
    assert (
        said
        == f"jdbc:hive2://127.0.0.1:{port}/gold for bi, password in {USER_VARIABLE} and {PASSWORD_VARIABLE}\n"
    )
    yield Server(process, port, workplace, scratch, lakehouse)
    process.terminate()
    process.wait(30)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.slow
def test_a_client_that_logs_in_asks_gold_as_it_is_now(server: Server) -> None:
    assert server.ask("SELECT COUNT(*) FROM gold.daily_quality") == [(0,)]
    row = {"as_of": moment("2019-07-03"), "action": "retrain", "retrain": True, "reasons": ["so"]}
    row["evidence"] = {"score": 1.5}
    server.lakehouse.store.append_rows([row], server.lakehouse.catalog.decision)
    found = server.ask(
        "SELECT as_of, retrain, reasons, evidence, model_version FROM decision", database="gold"
    )
    assert found == [
        (moment("2019-07-03").replace(tzinfo=None), True, b'["so"]', '{"score":1.5}', None)
    ]
    assert (
        server.ask("SELECT alarm, CAST(since AS DATE) FROM gold.open_alarms")[0][0] == "retraining"
    )


@pytest.mark.slow
def test_the_documents_program_runs(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (program,) = [
        each for each in programs(DOCUMENT.read_text(encoding="utf-8")) if "impala" in each
    ]
    login = tmp_path / "login"
    login.write_text(f"{USER}\n{PASSWORD}\n")
    exec(
        program.replace(".lakehouse/demo/_system/sql_login", str(login)).replace(
            "10000", str(server.port)
        ),
        {},
    )
    assert capsys.readouterr().out == "[]\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    "login",
    [
        {"password": "wrong"},
        {"password": None},
        {"password": ""},
        {"password": PASSWORD.upper()},
        {"user": "root"},
        {"user": USER + "\0" + PASSWORD, "password": ""},
        {"auth_mechanism": "NOSASL"},
    ],
    ids=str,
)
def test_a_client_without_the_right_user_and_password_is_refused(
    server: Server, login: dict[str, Any]
) -> None:
    with pytest.raises(TTransportException):
        server.ask("SELECT 1", **login)
    assert server.ask("SELECT 1") == [(1,)]


@pytest.mark.slow
def test_a_tool_sees_the_tables_views_and_columns_with_their_comments(server: Server) -> None:
    with closing(
        connect("127.0.0.1", server.port, user=USER, password=PASSWORD, auth_mechanism="PLAIN")
    ) as connection:
        cursor = connection.cursor()
        cursor.get_tables(database_name="gold")
        tables = {name: (kind, comment) for _, _, name, kind, comment, *_ in cursor.fetchall()}
        assert tables["decision"] == ("TABLE", server.lakehouse.catalog.decision.grain)
        assert tables["open_alarms"][0] == "VIEW"
        columns = cursor.get_table_schema("decision", database_name="gold")
    assert [name for name, _ in columns] == server.lakehouse.catalog.decision.schema.names


@pytest.mark.slow
@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM gold.decision",
        "INSERT INTO gold.decision SELECT * FROM gold.decision",
        "WITH a AS (SELECT 1) MERGE INTO gold.decision d USING a ON TRUE WHEN MATCHED THEN DELETE",
        "EXECUTE IMMEDIATE 'DELETE FROM gold.decision'",
        "DROP VIEW gold.open_alarms",
        "CREATE OR REPLACE VIEW gold.open_alarms AS SELECT 1",
        "ALTER TABLE gold.decision SET TBLPROPERTIES ('a' = 'b')",
        "VACUUM gold.decision",
    ],
)
def test_a_client_cannot_write_or_take_names_from_others(server: Server, statement: str) -> None:
    before = server.lakehouse.store.version(server.lakehouse.catalog.decision)
    with pytest.raises(Exception, match=r"this endpoint only reads: \w+ is refused"):
        server.ask(statement)
    assert server.lakehouse.store.version(server.lakehouse.catalog.decision) == before
    server.ask("SELECT * FROM gold.open_alarms")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads Linux's table of sockets")
def test_it_listens_on_loopback_alone(server: Server) -> None:
    addresses = _listening(_family(server.process.pid))
    assert server.port in {port for _, port in addresses}
    loopback = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
    assert {address for address, _ in addresses} <= loopback


@pytest.mark.slow
def test_the_password_is_nowhere_to_be_read(server: Server) -> None:
    assert PASSWORD not in str(server.ask("SET"))
    assert PASSWORD not in str(
        server.ask("SELECT '${env:LAKEHOUSE_SQL_PASSWORD}', '${system:sun.java.command}'")
    )
    own, *others = _family(server.process.pid)
    assert others, "Spark's"
    places = [
        f"/proc/{own}/cmdline",
        *(f"/proc/{pid}/{name}" for pid in others for name in ("cmdline", "environ")),
    ]
    for place in places:
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended
            assert PASSWORD.encode() not in Path(place).read_bytes()


@pytest.mark.slow
def test_when_it_is_ended_it_leaves_nothing_behind(server: Server) -> None:
    """The last test of the server: it stops it."""
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0
    assert sorted(path.name for path in server.workplace.iterdir()) == [".venv", "conf"]
    assert list(server.scratch.iterdir()) == []
    with pytest.raises(TTransportException):
        server.ask("SELECT 1")


def _family(pid: int) -> list[int]:
    """A process and those that it started; one that ends meanwhile may be among them."""
    children: list[str] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                children += (task / "children").read_text().split()
    return [pid, *(each for child in children for each in _family(int(child)))]


def _listening(pids: list[int]) -> set[tuple[str, int]]:
    """Addresses (as the kernel writes them) and ports on which these processes listen."""
    inodes = set()
    for pid in pids:
        with suppress(OSError):
            for link in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    inodes.add(str(link.readlink()).removeprefix("socket:[").removesuffix("]"))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and words[9] in inodes:
                address, port = words[1].split(":")
                found.add((address, int(port, 16)))
    return found


def test_a_login_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    (tmp_path / "_system").mkdir()
    login, path = login_of(tmp_path, {}), tmp_path / "_system" / "sql_login"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().splitlines() == [login.user, login.password]
    assert len(login.password) >= 32
    assert login_of(tmp_path, {}) == login
    assert login.password not in repr(login)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_login_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "_system").mkdir()
    login_of(tmp_path, {})
    (tmp_path / "_system" / "sql_login").chmod(mode)
    with pytest.raises(ConfigurationError, match="others may have read its password"):
        login_of(tmp_path, {})


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({USER_VARIABLE: "bi"}, "write a password of 12 characters or more"),
        (
            {USER_VARIABLE: "bi", PASSWORD_VARIABLE: "short"},
            "write a password of 12 characters or more",
        ),
        ({PASSWORD_VARIABLE: "correct horse battery"}, "no user; write one beside the password"),
    ],
)
def test_half_a_login_or_a_short_password_is_one_sentence(
    tmp_path: Path, environment: dict[str, str], sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        login_of(tmp_path, environment)


def test_a_folder_without_a_lakehouse_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds no lakehouse"):
        login_of(tmp_path / "nowhere", {})


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "_system").mkdir()
    (tmp_path / "_system" / "tables.sql").write_text(f"-- Root: {tmp_path}\n")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigurationError, match=r"--port: \d+ is taken"):
            serve(tmp_path, taken.getsockname()[1], login_of(tmp_path, {}))
