"""A request that was left in the landing folder, and the night that answers it over Delta tables."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lakehouse.retraining import retrain_and_promote as night
from lakehouse.retraining.policy.decide import REQUESTED
from lakehouse.retraining.requests import leave_request, requests_at
from lakehouse.storage.queries import AVAILABLE_NOW
from tests.support.small_model import is_ok
from tests.support.written import A_DAY, aggregate, first_version, told_at, write_labels


class KilledError(Exception):
    pass


def test_a_request_is_on_record_once_though_the_night_is_cut_off_before_it_is_set_aside(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lakehouse = first_version(spark, tmp_path / "lake")
    write_labels(lakehouse, range(A_DAY, 2 * A_DAY), is_ok)
    aggregate(lakehouse, 0, 2 * A_DAY - 1, told_at(2 * A_DAY - 1))
    request_id = leave_request(lakehouse.landing, "shift lead", "the furnace was relined")

    def killed(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patched, pytest.raises(KilledError):
        patched.setattr(night, "set_aside", killed)
        night.retrain_and_promote(lakehouse, AVAILABLE_NOW)
    assert [request.id for request in requests_at(lakehouse.landing)] == [request_id]
    night.retrain_and_promote(lakehouse, AVAILABLE_NOW)
    assert requests_at(lakehouse.landing) == []
    rows = lakehouse.store.rows(lakehouse.catalog.decision)
    (asked,) = [row for row in rows if row["rule"] == REQUESTED]
    assert request_id in asked["reasons"][0]
    promotions = lakehouse.store.rows(lakehouse.catalog.promotion)
    assert [row["as_of"] for row in promotions].count(asked["as_of"]) == 1
