"""The job on tables on disk, without Spark: a version is tested again, beside its record."""

import pytest
import yaml

from jobs import check_model as check_job
from lakehouse.errors import RegistryError
from lakehouse.storage.plain_tables import read_rows
from lakehouse.tables import catalog_of
from tests.explain.test_job import GLASSWARE, MODEL, written
from tests.support import plain_delta

COST = {
    "name": "cost",
    "passed": False,
    "reason": "its calls cost 4 EUR a row",
    "figure": 4.0,
    "bound": 3.0,
    "demanded": False,
}


@pytest.fixture
def root(tmp_path):
    """Version 1 is promoted; version 2 waits for a person, and is dear."""
    root, table = written(tmp_path, MODEL), catalog_of(MODEL).promotion
    rows = sorted(read_rows(str(root), table), key=lambda row: row["to_version"])
    waiting = {**rows[1], "action": "pending", "checks": [COST]}
    plain_delta.replace_rows(root, table, [rows[0], waiting])
    return root


def run(root, *words):
    return check_job.main(["--root", str(root), *words])


def test_a_version_that_waits_is_tested_and_its_record_is_shown(root, capsys):
    assert run(root) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "glassware version 2: pending"
    assert "ok     determinism  0 of 250 rows are answered otherwise a second time (now)" in lines
    assert "FAILS  cost         its calls cost 4 EUR a row (at its verdict)" in lines
    assert lines[-1] == "every demanded test passes"


def test_a_demanded_test_that_fails_ends_the_job_with_1(root, tmp_path, capsys):
    settings = tmp_path / "model.yaml"
    demanding = GLASSWARE | {"policy": {"checks": {"demanded": ["owner"]}}}
    settings.write_text(yaml.safe_dump(demanding, sort_keys=False))
    assert run(root, "--version", "1", "--model", str(settings)) == 1
    assert "FAILS  owner        `owner` is empty (now, demanded)" in capsys.readouterr().out


def test_a_demanded_test_that_failed_at_the_verdict_ends_the_job_with_1(root):
    table = catalog_of(MODEL).promotion
    rows = read_rows(str(root), table)
    demanded = [
        row | ({"checks": [COST | {"demanded": True}]} if row["checks"] else {}) for row in rows
    ]
    plain_delta.replace_rows(root, table, demanded)
    assert run(root) == 1


def test_a_version_that_was_never_judged_is_told_of(root):
    with pytest.raises(RegistryError, match="version 9 was never judged here"):
        run(root, "--version", "9")


def test_before_the_first_verdict_there_is_nothing_to_check(tmp_path):
    plain_delta.create(tmp_path, catalog_of(MODEL).promotion)
    with pytest.raises(RegistryError, match="has no version yet; there is nothing to check"):
        run(tmp_path)
