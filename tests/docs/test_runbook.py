"""The runbook has each alarm and each exit code, and its statements can be run."""

import re
from pathlib import Path

import duckdb
import pytest

from lakehouse import errors
from lakehouse.alerts.rules import default_rules
from lakehouse.settings import load_model_settings
from lakehouse.sql.catalogue import in_duckdb
from lakehouse.tables import catalog_of
from lakehouse.tables.arrow_types import arrow_schema

_PAGE = Path("docs/operations.md").read_text(encoding="utf-8")
RUNBOOK = _PAGE[_PAGE.index("## When an alarm fires") :]
STATEMENTS = [
    statement.strip()
    for block in re.findall(r"```sql\n(.*?)```", RUNBOOK, re.DOTALL)
    for statement in block.split(";")
    if statement.strip()
]


def test_each_default_rule_says_what_it_means_and_what_to_do() -> None:
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##)", RUNBOOK, re.DOTALL | re.MULTILINE))
    assert {rule.name for rule in default_rules()} == sections.keys() - {"Exit"}
    for name, text in sections.items():
        assert "**Means**" in text, name
        assert "**Do**" in text, name


def test_each_exit_code_says_what_to_do() -> None:
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", RUNBOOK, re.MULTILINE)}
    own = {errors.REFUSED, errors.UNFORESEEN, errors.LOCKED, errors.INTERRUPTED}
    assert codes == {0, 1} | own


def test_its_statements_can_be_run() -> None:
    assert len(STATEMENTS) > 7
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA bronze; CREATE SCHEMA silver; CREATE SCHEMA gold")
        for table in catalog_of(load_model_settings("conf/glassware.yaml")).tables:
            empty = arrow_schema(table).empty_table()
            connection.register("given", empty)
            connection.execute(f"CREATE TABLE {table.full_name} AS SELECT * FROM given")
        for statement in STATEMENTS:
            assert connection.sql(in_duckdb(statement)).fetchall() == []


@pytest.mark.parametrize("path", re.findall(r"python (jobs/\w+\.py)", RUNBOOK))
def test_its_jobs_are_there(path: str) -> None:
    assert Path(path).is_file()
