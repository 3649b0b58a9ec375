"""What a decision rests on: counts by difficulty, and the newest rows one by one, no more than a
training takes.
"""

import datetime as dt
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.instants import instant, moment_of
from lakehouse.labels.label_batch import start_of_trainable
from lakehouse.models import features_of
from lakehouse.models.expected_error.spline_logistic import N_BINS
from lakehouse.retraining.table_predictions import TablePredictions
from lakehouse.retraining.training_rows import labelled_rows
from lakehouse.settings import ShiryaevRobertsRule
from lakehouse.versions.ledger import PromotionLedger
from tests.support.rows import labelled_predictions, moment, policy_history, with_policy

SENSORS = ["temp", "pressure", "duration"]


def test_the_newest_rows_are_by_hour_and_by_row_from_the_moment_asked_for(plant):
    lakehouse, since = plant.at("newest"), np.datetime64("2019-07-14T18", "us")
    evidence = labelled_predictions(
        lakehouse, moment("2019-07-18T00:00:00"), policy_history(plant.at("drifted"))
    )
    by_hour = evidence.recent()
    [(version, otherwise)] = by_hour.archived.items()
    bins = otherwise.bins
    rows = evidence.predictions(moment("2019-07-09T00:00:00"), None)
    rows = rows[rows["_label_time"] > moment("2019-07-15T00:00:00")]
    (counts, _), frame = evidence.row_counts(rows), evidence._framed(rows)
    old = frame.predicted_by(1)
    assert version == 1
    assert (bins // N_BINS == old).all()
    assert len(np.unique(bins % N_BINS)) > 2
    assert (by_hour.counts.wrong == counts.wrong).all()
    np.testing.assert_array_equal(by_hour.rows.features, frame.rows.features)
    assert set(by_hour.counts.hour) <= set(evidence.counts().hour)
    by_row, dated = evidence.recent(since).counts, evidence.counts(since)
    late = counts.hour >= since
    assert (by_row.hour[late] == counts.hour[late]).all()
    assert (by_row.hour[~late] == by_hour.counts.hour[~late]).all()
    assert 0 < late.sum() < len(late)
    assert set(by_row.hour) <= set(dated.hour)


def test_single_rows_are_looked_at_in_the_newest_stretch_alone(plant, monkeypatch):
    rule = ShiryaevRobertsRule(alarm=10_000, recall=dt.timedelta(hours=12))
    lakehouse = with_policy(plant.at("newest"), rules=(rule,))
    evidence = labelled_predictions(
        lakehouse, moment("2019-07-18T00:00:00"), policy_history(plant.at("drifted"))
    )
    newest, reads, predictions = evidence.counts().hour.max(), [], TablePredictions.predictions
    monkeypatch.setattr(
        TablePredictions,
        "predictions",
        lambda self, *between: (reads.append(between), predictions(self, *between))[1],
    )
    found = evidence.recent().counts
    assert reads == [(moment_of(newest) - rule.recall, None)]
    assert len(found.hour)
    assert found.hour.min() >= newest - np.timedelta64(12, "h")
    last = evidence.counts(newest).hour.max()
    by_row = evidence.recent(newest - np.timedelta64(1, "D")).counts.hour
    assert last - np.timedelta64(12, "h") < by_row.min() < newest
    forgetful = with_policy(lakehouse, rules=(rule.model_copy(update={"recall": None}),))
    assert labelled_predictions(forgetful, evidence.as_of, evidence.history).recent() is None
    assert (
        labelled_predictions(lakehouse, evidence.as_of, policy_history(plant.at("first")))
        .recent()
        .archived
        == {}
    )
    monkeypatch.setattr(
        TablePredictions,
        "newest_labelled",
        lambda self, start, _=None: predictions(self, start, None).head(0),
    )
    assert labelled_predictions(lakehouse, evidence.as_of, evidence.history).recent() is None


def test_the_counts_by_difficulty_are_those_of_the_rows(newest):
    records = {str(version): record for version, record in policy_history(newest).records.items()}
    catalog, store = newest.catalog, newest.store
    labels = store.read(catalog.labels).select("pid", "quality")
    rows = store.read(catalog.predictions).join(labels, "pid").orderBy("pid").toPandas()
    spans = PromotionLedger(newest).trained_spans
    expected: Counter = Counter()
    for version, record in records.items():
        own = rows[rows["model_version"] == version]
        own = own[~own["process_time"].dt.tz_localize("UTC").between(*spans[version])]
        if len(own):
            bins = record.error_bins.bins(
                pa.Table.from_pandas(own[SENSORS]), own["prediction"].to_numpy()
            )
            hours = own["process_time"].dt.floor("h").dt.tz_localize("UTC")
            wrong = (own["prediction"] != own["quality"]).astype(int)
            for hour, place, error in zip(hours, bins, wrong, strict=True):
                expected[hour, version, int(place), "labelled"] += 1
                expected[hour, version, int(place), "wrong"] += int(error)
    found: Counter = Counter()
    for row in store.rows(
        catalog.window_facts, columns=["window_start", "model_version", "by_difficulty"]
    ):
        for each in row["by_difficulty"]:
            for kind in ("labelled", "wrong"):
                found[row["window_start"], row["model_version"], each["bin"], kind] += each[kind]
    assert +found == +expected
    assert {version for _, version, _, _ in found} == {"1", "2"}
    assert len({place for _, _, place, _ in found}) > 5


def test_labels_that_come_after_a_promotion_count_as_the_new_champion_would_have_called_them(plant):
    lakehouse = plant.at("newest")
    evidence = labelled_predictions(
        lakehouse, moment("2019-07-18T00:00:00"), policy_history(plant.at("drifted"))
    )
    stale = evidence.predictions(moment("2019-07-13T00:00:00"), moment("2019-07-15T00:00:00"))
    stale = stale[stale["_label_time"] > moment("2019-07-15T00:00:00")]
    assert set(stale["model_version"]) == {"1"}
    counts, _ = evidence.row_counts(stale)
    assert set(counts.version) == {2}
    assert counts.wrong.mean() < 0.12 < (stale["prediction"] != stale["quality"]).mean()
    whole = evidence.counts()
    told_since = evidence.predictions(moment("2019-07-13T00:00:00"), None)
    told_since = told_since[told_since["_label_time"] > moment("2019-07-15T00:00:00")]
    assert whole.labelled.sum() == len(told_since) > 800
    dated = evidence.counts(np.datetime64("2019-07-14T18", "us"))
    assert dated.wrong.sum() == whole.wrong.sum()
    assert len(dated.hour) > len(whole.hour)


def test_what_is_decided_on_is_by_hour_however_fine_the_windows_of_the_facts_are(newest):
    state, as_of = policy_history(newest), moment("2019-07-18T00:00:00")
    by_hour, finer = (labelled_predictions(newest, as_of, state) for _ in range(2))
    later = pc.add(by_hour.hours["window_start"], pa.scalar(25 * 60 * 1_000_000, pa.duration("us")))
    finer.__dict__["hours"] = by_hour.hours.set_column(0, "window_start", later)
    assert len(by_hour.counts().hour) > 100
    for name in ("hour", "version", "bin", "labelled", "wrong"):
        assert (getattr(finer.counts(), name) == getattr(by_hour.counts(), name)).all()


def test_what_a_decision_and_a_training_read_is_bounded_by_the_rows_that_a_training_takes(
    plant, monkeypatch
):
    lakehouse, most = plant.at("newest"), 300
    training = lakehouse.model.training.model_copy(update={"max_rows": most})
    bounded = replace(lakehouse, model=lakehouse.model.model_copy(update={"training": training}))
    state, as_of = policy_history(plant.at("drifted")), moment("2019-07-18T00:00:00")
    whole, part = (labelled_predictions(each, as_of, state) for each in (lakehouse, bounded))
    since, until = moment("2019-07-10T00:00:00"), moment("2019-07-14T00:00:00")
    for end in (None, until):
        found, expected = part.newest_labelled(since, end), whole.newest_labelled(since, end)
        assert most <= len(found) < most + 20 < len(expected)
        assert found["pid"].tolist() == expected["pid"].tolist()[-len(found) :]
    by_hour, dated = whole.counts(), part.counts(instant(since))
    first = (
        dated.hour[dated.hour != dated.hour.astype("datetime64[h]")].min().astype("datetime64[h]")
    )
    assert most - 20 <= (dated.hour >= first).sum() < most + 20
    assert dated.labelled.sum() == by_hour.labelled.sum()
    assert (dated.hour[dated.hour < first] == by_hour.hour[by_hour.hour < first]).all()
    assert set(part.recent(instant(since)).counts.hour) <= set(dated.hour)
    versions = lakehouse.store.versions(lakehouse.catalog.readings, lakehouse.catalog.labels)
    assert start_of_trainable(lakehouse, as_of) is None
    start = start_of_trainable(bounded, as_of)
    assert start > until
    monkeypatch.setattr("lakehouse.labels.label_batch._FIRST_STRETCH", dt.timedelta(hours=1))
    assert start_of_trainable(bounded, as_of) == start
    assert start_of_trainable(lakehouse, as_of) is None
    ledger, features = PromotionLedger(lakehouse), features_of(lakehouse.model)
    newest = labelled_rows(ledger, versions, as_of, features).tail(most).reset_index(drop=True)
    pd.testing.assert_frame_equal(
        labelled_rows(PromotionLedger(bounded), versions, as_of, features), newest
    )
    monkeypatch.setattr("lakehouse.retraining.training_rows.start_of_trainable", lambda *_: until)
    assert labelled_rows(ledger, versions, as_of, features)["process_time"].min() >= until
