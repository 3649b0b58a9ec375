"""What a decision rests on: counts by expected error, and the newest rows one by one, no more than
a training takes.
"""

import datetime as dt
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from lakehouse.instants import instant
from lakehouse.labels.label_batch import start_of_trainable
from lakehouse.models import features_of
from lakehouse.retraining.training_rows import labelled_rows
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.tables import Table
from lakehouse.versions.ledger import PromotionLedger
from tests.support.rows import labelled_predictions, policy_history
from tests.support.small_model import Settings, at
from tests.support.written import (
    A_DAY,
    a_day_of_second,
    aggregate,
    copy_of,
    second_version,
    told_at,
    with_model,
)

BEGAN = told_at(4 * A_DAY - 1)
"""As of when version 2 took over: labels since then are of the last day of version 1, too."""
NEWEST = told_at(6 * A_DAY - 1)
SINCE = at(4 * A_DAY + 108)
"""In the evening of the last day of version 1."""


@pytest.fixture(scope="module")
def works(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lakehouse:
    """Labels of a day of each version have come since version 2 took over; tests only read it."""
    lakehouse = second_version(spark, tmp_path_factory.mktemp("predictions") / "lake")
    assert a_day_of_second(lakehouse) == NEWEST
    return lakehouse


def evidence_of(lakehouse: Lakehouse, as_of: dt.datetime = NEWEST) -> Any:
    return labelled_predictions(lakehouse, as_of, policy_history(lakehouse))


def labelled_since(evidence: Any, start: dt.datetime) -> pd.DataFrame:
    """Labelled predictions from a moment on whose label has come since version 2 took over."""
    rows = evidence.predictions(start, None)
    return rows[rows["_label_time"] > BEGAN]


def forget(lakehouse: Lakehouse, table: Table, until: dt.datetime) -> None:
    """The files of the table whose rows are all older are lost: whatever reads them, fails."""
    path = lakehouse.store.path(table)
    files = pa.table(DeltaTable(path).get_add_actions(flatten=True)).to_pylist()
    old = [each["path"] for each in files if each["max.at"].replace(tzinfo=dt.UTC) < until]
    assert 0 < len(old) < len(files)
    for name in old:
        Path(path, name).unlink()


def test_counts_by_row_read_the_newest_stretch_alone(works: Lakehouse, tmp_path: Path) -> None:
    evidence = evidence_of(copy_of(works, tmp_path / "lake"))
    newest = evidence.counts().hour.max()
    forget(evidence.lakehouse, evidence.lakehouse.catalog.predictions, at(5 * A_DAY))
    counts = evidence.counts(newest)
    assert (counts.hour >= newest).sum() == 6
    with pytest.raises(OSError):
        evidence.predictions(at(0), None)


def test_the_counts_by_expected_error_are_those_of_the_rows(works: Lakehouse) -> None:
    records = {str(version): record for version, record in policy_history(works).records.items()}
    labels = pd.DataFrame(works.store.rows(works.catalog.labels, columns=["id", "y"]))
    rows = pd.DataFrame(works.store.rows(works.catalog.predictions)).merge(labels, on="id")
    spans = PromotionLedger(works).trained_spans
    expected: Counter = Counter()
    for version, record in records.items():
        own = rows[rows["model_version"] == version]
        own = own[~own["at"].between(*spans[version])]
        codes = (own["prediction"] == "ok").to_numpy().astype(int)
        bins = record.error_bins.bins(pa.Table.from_pandas(own[["x", "z"]]), codes)
        wrong = (own["prediction"] != own["y"]).astype(int)
        for hour, place, error in zip(own["at"].dt.floor("h"), bins, wrong, strict=True):
            expected[hour, version, int(place), "labelled"] += 1
            expected[hour, version, int(place), "wrong"] += int(error)
    found: Counter = Counter()
    for row in works.store.rows(
        works.catalog.window_facts, columns=["window_start", "model_version", "by_difficulty"]
    ):
        for each in row["by_difficulty"]:
            for kind in ("labelled", "wrong"):
                found[row["window_start"], row["model_version"], each["bin"], kind] += each[kind]
    assert +found == +expected
    assert {version for _, version, _, _ in found} == {"1", "2"}
    assert len({place for _, _, place, _ in found}) > 5


def test_labels_that_come_after_a_promotion_count_as_the_new_champion_would_have_predicted_them(
    works: Lakehouse,
) -> None:
    evidence = evidence_of(works)
    stale = evidence.predictions(at(4 * A_DAY), at(5 * A_DAY))
    assert len(stale) == A_DAY
    assert set(stale["model_version"]) == {"1"}
    counts, _ = evidence.row_counts(stale)
    assert set(counts.version) == {2}
    assert counts.wrong.mean() < 0.1 < (stale["prediction"] != stale["y"]).mean()
    whole = evidence.counts()
    assert whole.labelled.sum() == len(labelled_since(evidence, at(0))) == 2 * A_DAY
    dated = evidence.counts(instant(SINCE))
    assert dated.wrong.sum() == whole.wrong.sum()
    assert len(dated.hour) > len(whole.hour)


def of_half_hours(settings: Settings) -> None:
    settings["metrics"]["granularities"] = ["30 minutes", "1 day"]


def test_what_is_decided_on_is_by_hour_however_fine_the_windows_of_the_facts_are(
    works: Lakehouse, tmp_path: Path
) -> None:
    finer = copy_of(works, tmp_path / "lake", of_half_hours)
    aggregate(finer, 0, 7 * A_DAY - 1, NEWEST)
    starts = finer.store.rows(finer.catalog.window_facts, columns=["window_start"])
    assert {row["window_start"].minute for row in starts} == {0, 30}
    by_hour, by_half_hour = (evidence_of(each).counts() for each in (works, finer))
    assert len(by_hour.hour) > 40
    assert as_sums(by_half_hour) == as_sums(by_hour)


def as_sums(counts: Any) -> dict[tuple, np.ndarray]:
    """Labelled and wrong rows by hour, version and bin."""
    found: Counter = Counter()
    columns = (counts.hour, counts.version, counts.bin, counts.labelled, counts.wrong)
    for hour, version, place, labelled, wrong in zip(*columns, strict=True):
        found[hour, version, place, "labelled"] += labelled
        found[hour, version, place, "wrong"] += wrong
    return +found


def test_a_decision_reads_no_more_rows_than_a_training_takes(works: Lakehouse) -> None:
    most = 150  # the labels that come under version 2 of rows of version 1 are 144
    training = works.model.training.model_copy(update={"max_rows": most})
    whole, part = evidence_of(works), evidence_of(with_model(works, training=training))
    since, until = at(2 * A_DAY), at(5 * A_DAY)
    for end in (None, until):
        found, expected = part.newest_labelled(since, end), whole.newest_labelled(since, end)
        assert most <= len(found) < most + 6 < len(expected)
        assert found["id"].tolist() == expected["id"].tolist()[-len(found) :]
    by_hour, dated = whole.counts(), part.counts(instant(since))
    by_row = dated.hour[dated.hour != dated.hour.astype("datetime64[h]")]
    first = by_row.min().astype("datetime64[h]")
    assert most - 6 <= (dated.hour >= first).sum() < most + 6
    assert dated.labelled.sum() == by_hour.labelled.sum()
    assert (dated.hour[dated.hour < first] == by_hour.hour[by_hour.hour < first]).all()


def test_a_training_takes_the_newest_rows_and_reads_no_older_ones(
    works: Lakehouse, tmp_path: Path
) -> None:
    most = 100
    lakehouse = copy_of(works, tmp_path / "lake")
    training = lakehouse.model.training.model_copy(update={"max_rows": most})
    bounded = with_model(lakehouse, training=training)
    versions = lakehouse.store.versions(lakehouse.catalog.readings, lakehouse.catalog.labels)
    features = features_of(lakehouse.model)
    assert start_of_trainable(lakehouse, NEWEST) is None
    assert start_of_trainable(bounded, NEWEST) > at(5 * A_DAY)
    every = labelled_rows(PromotionLedger(lakehouse), versions, NEWEST, features)
    forget(lakehouse, lakehouse.catalog.readings, at(5 * A_DAY))
    found = labelled_rows(PromotionLedger(bounded), versions, NEWEST, features)
    assert len(found) == most
    pd.testing.assert_frame_equal(found, every.tail(most).reset_index(drop=True))
    with pytest.raises(OSError):
        labelled_rows(PromotionLedger(lakehouse), versions, NEWEST, features)
