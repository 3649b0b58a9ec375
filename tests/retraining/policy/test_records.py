"""Which rows a rule takes, and that what is kept of it has a greatest size."""

from dataclasses import replace

import numpy as np

from lakehouse.models.expected_error.spline_logistic import N_BINS, fit_spline_logistic
from lakehouse.retraining.policy.candidates.choice import candidates_of, row_rule_of
from lakehouse.retraining.policy.decide import RETRAIN, Decision
from lakehouse.retraining.policy.document import PolicyRecord
from lakehouse.retraining.policy.records import (
    MOST_REGIONS,
    MOST_STRETCHES,
    Errors,
    Region,
    RowRule,
    Segment,
    VersionRecord,
)
from lakehouse.retraining.policy.version import MOST_ARCHIVED, archived
from lakehouse.settings import CandidateSettings
from tests.support.policy_rows import DAY, HOUR, START, record, rows

LOW = Region((("temp", -np.inf, 354.0),), 1)
GIVEN = rows([[350, 0], [350, 0], [355, 0], [350, 0], [355, 0]], [1, 0, 1, 1, 0])
MINUTES = np.timedelta64(30, "m")


def test_rows_are_thinned_where_labels_were_left_out_whatever_their_own():
    rule = RowRule((Segment(None, START + MINUTES, (LOW,)), Segment(START + MINUTES)))
    assert rule.mask(GIVEN).tolist() == [False, True, True, True, True]
    assert rule.thinned(GIVEN).tolist() == [True, True, False, False, False]
    assert not RowRule((Segment(None),)).thinned(GIVEN).any()


def test_a_rule_with_too_many_regions_gives_up_its_oldest_stretches():
    half = (LOW,) * (MOST_REGIONS // 2)
    oldest, middle, newest = (
        Segment(START + day * DAY, START + (day + 1) * DAY, half) for day in range(3)
    )
    new = Segment(START + 3 * DAY)
    assert RowRule((oldest, middle, new)).bounded() == RowRule((oldest, middle, new))
    assert RowRule((oldest, middle, newest, new)).bounded() == RowRule((middle, newest, new))
    full = replace(newest, without=(*half, *half, LOW))
    assert RowRule((full, new)).bounded() == RowRule((new,))


def test_a_rule_with_too_many_stretches_gives_up_its_oldest():
    days = [START + day * DAY for day in range(MOST_STRETCHES + 3)]
    stretches = [Segment(start, start + DAY) for start in days]
    assert RowRule(tuple(stretches)).bounded() == RowRule(tuple(stretches[3:]))


def many_alarms(count: int) -> tuple[VersionRecord, dict[int, RowRule]]:
    """The champion and the archive after a rule that turns into its opposite each day."""
    random = np.random.default_rng(0)
    values = np.column_stack(
        [random.uniform(0, 10, 48 * (count + 1)), random.uniform(0, 10, 48 * (count + 1))]
    )
    above = ((values[:, 0] > 5) ^ (values[:, 1] > 5)).astype(int)
    day = np.arange(len(values)) // 48
    every_half_hour = START + np.arange(len(values)) * HOUR // 2
    given = replace(rows(values, above ^ (day % 2)), event_time=every_half_hour)
    champion, archive = record(1), dict[int, RowRule]()
    for alarm in range(1, count + 1):
        change, known = START + alarm * DAY, day <= alarm
        decision = Decision(RETRAIN, "a rule", (), change_at=change)
        transfer, *_ = candidates_of(decision, champion, archive, 48, CandidateSettings())
        predictions = above ^ ((alarm - 1) % 2)
        until_now = given.take(known)
        rule, _ = row_rule_of(transfer, until_now, predictions[known], np.ones(known.sum(), bool))
        archive = archived(archive, champion, change)
        champion = record(alarm + 1, row_rule=rule, changed_at=change, reference=alarm)
    return champion, archive


def regions_of(rule: RowRule) -> int:
    return sum(len(segment.without) for segment in rule.segments)


def test_a_row_rule_and_an_archive_stay_bounded_after_two_hundred_alarms():
    champion, archive = many_alarms(200)
    assert 0 < regions_of(champion.row_rule) <= MOST_REGIONS
    assert len(champion.row_rule.segments) <= MOST_STRETCHES
    assert list(archive) == list(range(201 - MOST_ARCHIVED, 201))
    assert max(map(regions_of, archive.values())) <= MOST_REGIONS


def test_a_record_of_forty_features_and_ten_classes_is_below_64_kb():
    random = np.random.default_rng(0)
    names = tuple(f"a_feature_with_a_name_{place}" for place in range(40))
    values = random.normal(1_000, 300, (900, 40))
    labels = values[:, :10].argmax(axis=1)
    expected_error = fit_spline_logistic(values, labels, 10)
    regions = tuple(
        Region(
            ((names[0], *np.sort(random.normal(size=2))), (names[39], -np.inf, random.normal())), 3
        )
        for _ in range(MOST_REGIONS)
    )
    stretches = tuple(
        Segment(START + n * DAY, START + (n + 1) * DAY, regions[n::MOST_STRETCHES])
        for n in range(MOST_STRETCHES)
    )
    kept = record(
        2,
        row_rule=RowRule(stretches),
        errors=Errors(random.integers(0, 9_999, 10 * N_BINS) * 1.0, np.ones(10 * N_BINS)),
        expected_error=expected_error,
    )
    text = PolicyRecord(kept, names, "transfer from 1", 3.0).to_json()
    assert len(text.encode()) < 64 * 1024
    assert PolicyRecord.from_json(text).version.row_rule == kept.row_rule
