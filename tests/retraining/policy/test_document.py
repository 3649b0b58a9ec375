"""What is kept of the policy: records as JSON, features as numbers, and the state that the ledgers
tell.
"""

import datetime as dt
import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from lakehouse.errors import RegistryError
from lakehouse.instants import instant, moment_of
from lakehouse.models import Features
from lakehouse.models.expected_error.encoding import ErrorBins, matrix_of, names_of
from lakehouse.models.expected_error.spline_logistic import N_BINS, fit_spline_logistic
from lakehouse.retraining.policy.decide import Decision
from lakehouse.retraining.policy.document import PolicyRecord
from lakehouse.retraining.policy.history import DecisionEntry, History, PromotionEntry, history_of
from lakehouse.retraining.policy.records import Region, RowRule, Segment
from lakehouse.retraining.policy.refresh import Trial
from tests.support.policy_rows import DAY, HOUR, START, record

FEATURES = Features(("grams", "found"), ("lane", "fragile"))
PARCELS = pa.table(
    {
        "grams": [1.5, None, 3.0],
        "found": pa.array([1, 2, None], pa.int32()),
        "lane": ["a", None, "b=c"],
        "fragile": [True, False, None],
    }
)


def test_numbers_come_first_and_each_value_of_the_others_has_a_column():
    names = names_of(PARCELS, FEATURES)
    assert names == ("grams", "found", "fragile=false", "fragile=true", "lane=a", "lane=b=c")
    expected = [
        [1.5, 1, 0, 1, 1, 0],
        [np.nan, 2, 1, 0, np.nan, np.nan],
        [3.0, np.nan, np.nan, np.nan, 0, 1],
    ]
    np.testing.assert_array_equal(matrix_of(PARCELS, names), expected)


def test_what_a_record_names_keeps_its_column_and_a_value_that_is_new_has_none():
    names = names_of(PARCELS.slice(0, 1), FEATURES, known=("grams", "lane=z", "gone=1"))
    assert names == ("grams", "found", "fragile=true", "gone=1", "lane=a", "lane=z")
    np.testing.assert_array_equal(matrix_of(PARCELS, names)[2], [3.0, np.nan, np.nan, np.nan, 0, 0])


def test_a_feature_that_the_settings_no_longer_name_keeps_its_column_behind_theirs():
    names = names_of(PARCELS, Features(("found",), ("lane",)), known=("grams", "found", "left"))
    assert names == ("found", "grams", "left", "lane=a", "lane=b=c")
    matrix = matrix_of(PARCELS, names)
    np.testing.assert_array_equal(matrix[:, 1], [1.5, np.nan, 3.0])
    assert np.isnan(matrix[:, 2]).all()


def test_a_truth_value_is_a_number_and_an_older_record_still_reads_it_as_a_text():
    rows = pa.table({"fragile": [1.0, None, 0.0]})
    expected = [[1.0, 1.0, 0.0], [np.nan] * 3, [0.0, 0.0, 1.0]]
    np.testing.assert_array_equal(
        matrix_of(rows, ("fragile", "fragile=true", "fragile=false")), expected
    )
    np.testing.assert_array_equal(
        matrix_of(pa.table({"fragile": [True, None]}), ("fragile",)), [[1.0], [np.nan]]
    )


def test_of_very_many_values_the_most_frequent_have_a_column():
    lanes = [f"{n:02d}" for n in range(40)] + ["39"]
    names = names_of(pa.table({"lane": lanes}), Features((), ("lane",)))
    assert len(names) == 30
    assert {"lane=39", "lane=00", "lane=28"} <= set(names)
    assert "lane=29" not in names


def rich(version: int = 2, **given) -> PolicyRecord:
    """A record in which every field says something."""
    random = np.random.default_rng(0)
    features = random.normal(size=(200, 2))
    region = Region((("lane=a", 0.5, np.inf), ("grams", -np.inf, 3.25)), 1)
    row_rule = RowRule(
        (
            Segment(None, START + DAY, (region,)),
            Segment(START + DAY + np.timedelta64(7, "us")),
        )
    )
    kept = record(
        version,
        changed_at=START + DAY + np.timedelta64(7, "us"),
        row_rule=row_rule,
        reference=1,
        expected_error=fit_spline_logistic(features, (features[:, 0] > 0).astype(int), 2),
        **given,
    )
    return PolicyRecord(kept, ("grams", "lane=a"), "transfer from 1", 3.0)


@pytest.mark.parametrize("kept", [rich(), PolicyRecord(record(), ("temp",), "everything")])
def test_a_record_survives_its_json(kept):
    text = kept.to_json()
    again = PolicyRecord.from_json(text)
    assert again.to_json() == text
    assert replace(again.version, errors=None) == replace(kept.version, errors=None)
    for name in ("judged", "wrong"):
        np.testing.assert_array_equal(
            getattr(again.version.errors, name), getattr(kept.version.errors, name)
        )
    assert (again.names, again.candidate, again.new_weight) == (
        kept.names,
        kept.candidate,
        kept.new_weight,
    )
    json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert kept.numbered(7).version.version == 7


def test_a_record_of_the_second_format_is_read_over_its_forecasts_borders_and_disputes():
    kept = rich()
    document = json.loads(kept.to_json()) | {"format": 2}
    forecast = {"names": ["grams"], "spline": document["difficulty"], "code": 0}
    document["pool"][0]["without"].append(forecast)
    document["borders"] = [{"code": 0, "sides": [["grams", None, 1.0]], "judged": [], "wrong": []}]
    document["disputes"] = {"1": {"judged": [1.0], "wrong": [0.0]}}
    assert PolicyRecord.from_json(json.dumps(document)).to_json() == kept.to_json()


def test_a_record_of_the_first_format_has_no_number():
    kept = rich()
    document = json.loads(kept.to_json())
    del document["format"]
    assert PolicyRecord.from_json(json.dumps(document)).to_json() == kept.to_json()


def test_a_record_of_a_later_release_is_refused():
    later = json.dumps(json.loads(rich().to_json()) | {"format": 4})
    with pytest.raises(
        RegistryError, match=r"version 2 has format 4, .* this one reads up to 3: update it"
    ):
        PolicyRecord.from_json(later)


def test_predictions_are_binned_by_class_and_by_expected_error():
    kept = rich().version.expected_error
    table = pa.table({"grams": [3.0, -3.0], "lane": ["a", "b"]})
    bins = ErrorBins(kept, ("grams", "lane=a")).bins(table, np.array([1, 1]))
    assert N_BINS <= bins[0] < bins[1] == 2 * N_BINS - 1  # the second is surely wrong


def test_a_moment_is_the_same_in_every_time_zone():
    moment = dt.datetime(2024, 3, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    assert instant(moment) == START
    assert moment_of(START) == moment


def moved(
    action: str, day: int, version: int | None, kept: PolicyRecord | None = None
) -> PromotionEntry:
    """An entry of the ledger of promotions."""
    return PromotionEntry(START + day * DAY, action, version=version, record=kept)


def promoted(
    version: int, day: int, drift_period: int, since: int = 100, changed: int | None = None
) -> PromotionEntry:
    """A promotion whose version answers the alarm of day `drift_period`."""
    kept = record(
        version,
        as_of=START + day * DAY,
        drift_period=START + drift_period * DAY,
        since_change=since,
        changed_at=None if changed is None else START + changed * DAY,
    )
    return moved("promote", day, version, PolicyRecord(kept, (), "everything"))


def asked(action: str, day: int, **evidence: float) -> DecisionEntry:
    """A decision."""
    return DecisionEntry(
        START + day * DAY, Decision(action, "a rule", (), evidence or {"labelled": 0.0})
    )


def judged(action: str, gain: float) -> PromotionEntry:
    """The verdict of day 5 on the challenger of a refresh."""
    return replace(promoted(2, 5, 0, 150), action=action, gain=gain)


FIRST, REFRESHED, ANSWER = (
    promoted(1, 0, 0),
    promoted(2, 5, 0, 150),
    promoted(3, 9, 9, 60, changed=8),
)


def test_without_a_ledger_there_is_no_champion():
    assert history_of([], []) == History()


def test_a_refresh_stays_in_its_drift_period_and_an_answer_to_an_alarm_begins_one():
    state = history_of([FIRST, REFRESHED], [])
    assert (state.champion, state.before, state.drift_period, state.began) == (2, 1, {1, 2}, START)
    assert not state.archive
    state = history_of([FIRST, REFRESHED, ANSWER], [])
    assert (state.champion, state.before, state.drift_period, state.began) == (
        3,
        2,
        {3},
        START + 9 * DAY,
    )
    assert list(state.archive) == [2]
    assert state.archive[2].end == START + 8 * DAY


def test_a_rollback_gives_back_and_is_not_undone():
    state = history_of([FIRST, REFRESHED, ANSWER, moved("rollback", 11, 2)], [])
    assert (state.champion, state.before, state.drift_period) == (2, None, {1, 2})
    assert state.began == START + 9 * DAY  # what was evidence of the change is not so again


def test_a_refusal_changes_nothing_but_counts_as_a_training():
    state = history_of([FIRST, moved("refuse", 3, 2), moved("refuse", 4, None)], [])
    assert state.champion == 1
    assert state.trainings == (START + 3 * DAY,)


def test_labels_belong_to_the_champion_of_before_what_was_decided_on_them():
    state = history_of([FIRST, REFRESHED, ANSWER], [])
    label_time = START + np.array([9, 10]) * DAY + HOUR
    assert state.champions_at(label_time).tolist() == [3, 3]
    state = history_of([FIRST, REFRESHED], [])
    label_time = START + np.array([1, 5, 6]) * DAY
    assert state.champions_at(label_time).tolist() == [1, 1, 2]
    assert state.champions_at(label_time[1:2] + HOUR).tolist() == [2]


FIRST_100 = asked("train_first", 0, labelled=100)


def trial(day: int, labelled: float, since: float | None = None, gain: float = 0.0) -> Trial:
    return Trial(START + day * DAY, labelled, since, gain)


@pytest.mark.parametrize(
    ("decisions", "promotions", "trials"),
    [
        ([], [], ()),
        ([FIRST_100], [FIRST], (trial(0, 100, 100),)),
        # A refresh counts, whatever became of it: as no gain where no challenger was judged.
        (
            [FIRST_100, asked("refresh", 5, labelled=150)],
            [FIRST],
            (trial(0, 100, 100), trial(5, 150)),
        ),
        (
            [FIRST_100, asked("refresh", 5, labelled=150)],
            [FIRST, judged("refuse", -4)],
            (trial(0, 100, 100), trial(5, 150, gain=-4)),
        ),
        (
            [FIRST_100, asked("refresh", 5, labelled=150)],
            [FIRST, judged("promote", 7)],
            (trial(0, 100, 100), trial(5, 150, gain=7)),
        ),
        # An alarm that was refused does not.
        (
            [FIRST_100, asked("retrain", 5, labelled=150)],
            [FIRST, judged("refuse", -4)],
            (trial(0, 100, 100),),
        ),
        # One that was answered counts with the rows since the change.
        (
            [FIRST_100, asked("retrain", 9, labelled=777)],
            [FIRST, ANSWER],
            (trial(0, 100, 100), trial(9, 777, 60)),
        ),
    ],
)
def test_trials_are_the_trainings_that_say_when_the_next_one_is_due(decisions, promotions, trials):
    assert history_of(promotions, decisions).trials == trials


@pytest.mark.parametrize(
    ("promotions", "refused"),
    [
        ([FIRST], -np.inf),  # not judged yet
        ([FIRST, moved("refuse", 3, 2)], 11.0),
        ([FIRST, moved("refuse", 3, 2), moved("refuse", 4, 3)], 12.0),
        (
            [FIRST, moved("refuse", 4, 2), moved("promote", 4, 3, rich())],
            12.0,
        ),  # the refresh of that night was better
        ([FIRST, moved("refuse", 3, None)], -np.inf),  # nothing could be trained
        (
            [FIRST, promoted(2, 3, 0), moved("refuse", 3, 3)],
            -np.inf,
        ),  # the alarm's took over, the refresh did not
        ([FIRST, moved("refuse", 3, 2), ANSWER], -np.inf),  # another drift period
    ],
)
def test_the_evidence_of_refused_alarms_stays_in_their_drift_period(promotions, refused):
    alarms = (
        asked("retrain", day, log_statistic=value)
        for day, value in ((3, 11.0), (4, 12.0), (9, 30.0))
    )
    state = history_of(promotions, [asked("train_first", 0), *alarms])
    found = -np.inf if state.refused is None else state.refused.log_statistic
    assert found == refused


def test_a_version_of_an_older_release_has_no_record():
    state = history_of([moved("promote", 0, 1)], [])
    assert (state.champion, state.champion_record, state.drift_period) == (1, None, set())
