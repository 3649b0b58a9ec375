from dataclasses import replace

import numpy as np
import pytest
from lakehouse.retraining.policy.candidates.strips import boundary_strips

from lakehouse.models.expected_error.spline_logistic import fit_spline_logistic
from lakehouse.retraining.policy.candidates import choice as candidates
from lakehouse.retraining.policy.candidates.choice import (
    Candidate,
    Fitted,
    candidates_of,
    choose,
    cross_fit,
    recalled,
    row_rule_of,
)
from lakehouse.retraining.policy.candidates.regions import contradicted
from lakehouse.retraining.policy.decide import REFRESH, RETRAIN, TRAIN_FIRST, Decision
from lakehouse.retraining.policy.detection.detect import RETURNED
from lakehouse.retraining.policy.records import Region, RowRule, Segment
from lakehouse.retraining.policy.version import archived, record_of, restored
from lakehouse.settings import CandidateSettings
from lakehouse.simulation.learner import fit_tree
from tests.support.policy_rows import DAY, START, record, rows, strip

SETTINGS = CandidateSettings()
RNG = np.random.default_rng(0)
VALUES = np.column_stack([RNG.uniform(350, 360, 1_000), RNG.normal(12, 2, 1_000)])
OLD_RULE = (VALUES[:, 0] > 351).astype(int)
NEW_RULE = (VALUES[:, 0] > 354).astype(int)
CHANGE = 900
ROWS = rows(VALUES, np.where(np.arange(1_000) < CHANGE, OLD_RULE, NEW_RULE))
CHANGED_AT = ROWS.event_time[CHANGE]
EVERYTHING = RowRule((Segment(None),))
TRANSFER = Candidate("transfer", EVERYTHING.until(CHANGED_AT), 1, CHANGED_AT)
JUDGED = ROWS.event_time >= CHANGED_AT
DIFFICULTY = fit_spline_logistic(VALUES, OLD_RULE, 2)


def alarm(action: str = RETRAIN, change_at=CHANGED_AT) -> Decision:
    return Decision(action, "a rule", (), change_at=change_at)


def names(
    decision: Decision, champion=None, archive=None, since: int = 500, **settings: object
) -> list[str]:
    given = CandidateSettings.model_validate(settings)
    found = candidates_of(
        decision, champion or record(), archive or {}, ROWS.event_time[-1], since, given
    )
    return [each.name for each in found]


def test_contradicted_regions_are_found_and_no_others():
    new = ROWS.take(JUDGED)
    found = contradicted(new, OLD_RULE[CHANGE:])
    assert len(found) == 1
    ((name, low, high),) = found[0].sides
    assert (name, found[0].code) == ("temp", 1)
    assert low == -np.inf
    assert high == pytest.approx(354, abs=0.3)


def test_fourteen_wrong_rows_of_twenty_eight_are_enough_and_two_are_not():
    few = ROWS.take(np.flatnonzero(JUDGED)[:28])
    assert contradicted(few, OLD_RULE[CHANGE : CHANGE + 28])
    lucky = few.labels.copy()
    lucky[:2] = 1 - lucky[:2]
    assert contradicted(few, lucky) == ()


def test_without_a_change_noise_contradicts_nothing_in_98_of_100_samples():
    rng = np.random.default_rng(1)
    found = []
    for _ in range(200):
        sample = rng.choice(CHANGE, 192, replace=False)
        noisy = np.where(rng.random(192) < 0.05, 1 - OLD_RULE[sample], OLD_RULE[sample])
        found.append(bool(contradicted(rows(VALUES[sample], noisy), OLD_RULE[sample])))
    assert np.mean(found) <= 0.02


def test_a_region_holds_what_lies_in_its_box_and_contradicts_its_label_alone():
    region = Region((("temp", 351.0, 354.0),), 1)
    given = rows(
        [[351, 0], [352, 0], [354, 0], [355, 0], [np.nan, 0], [353, 0]], [1, 1, 1, 1, 1, 0]
    )
    assert list(region.box(given)) == [False, True, True, False, False, True]
    assert list(region.contradicts(given)) == [False, True, True, False, False, False]


def test_old_rows_are_kept_where_new_ones_do_not_contradict_them():
    row_rule, weights = row_rule_of(TRANSFER, ROWS, OLD_RULE, np.ones(1_000, bool))
    stale = (np.arange(1_000) < CHANGE) & (OLD_RULE != NEW_RULE)
    assert weights[stale].mean() < 0.1
    assert (weights[~stale] > 0).mean() > 0.95
    assert np.array_equal(row_rule.mask(ROWS), weights > 0)


def test_new_rows_weigh_more_than_old_ones():
    candidate = candidates_of(
        alarm(), record(), {}, ROWS.event_time[-1], 500, CandidateSettings(new_weight=3)
    )[0]
    _, weights = row_rule_of(candidate, ROWS, OLD_RULE, np.ones(1_000, bool))
    assert set(weights[:CHANGE]) == {0.0, 1.0}
    assert set(weights[CHANGE:]) == {3.0}


def test_a_row_is_predicted_by_a_model_that_has_not_seen_it():
    """Labels without any rule: who has seen them is right, who has not is right every other
    time.
    """
    noise = rows(VALUES, np.random.default_rng(2).integers(0, 2, 1_000))
    memory = lambda features, labels, weights: fit_tree(features, labels, weights, ccp_alpha=0.0)  # noqa: E731
    fitted = cross_fit(Candidate("everything"), noise, np.ones(1_000, bool), {}, memory)
    assert (fitted.predictions == noise.labels).mean() < 0.56


def test_what_is_contradicted_is_found_without_the_rows_that_are_predicted(
    monkeypatch: pytest.MonkeyPatch,
):
    seen = []
    watched = lambda given, _: seen.append(set(given.event_time)) or ()  # noqa: E731
    monkeypatch.setattr(candidates, "contradicted", watched)
    cross_fit(TRANSFER, ROWS, JUDGED, {1: OLD_RULE}, fit_tree)
    everything, *folds = seen
    assert len(everything) == 100
    assert [len(each) for each in folds] == [80] * 5
    assert set.intersection(*folds) == set()


def test_transfer_beats_few_new_rows_alone():
    alone = Candidate("since_change", start=CHANGED_AT)
    found = [cross_fit(each, ROWS, JUDGED, {1: OLD_RULE}, fit_tree) for each in (TRANSFER, alone)]
    right = [(each.predictions[JUDGED] == ROWS.labels[JUDGED]).mean() for each in found]
    assert right[0] >= 0.97
    assert right[0] >= right[1]


def test_a_single_class_gives_no_model():
    same = rows(VALUES, np.ones(1_000, int))
    assert cross_fit(Candidate("everything"), same, JUDGED, {}, fit_tree) is None


def test_an_archived_version_is_judged_as_it_is():
    fitted = cross_fit(
        Candidate("version 7", version=7, start=CHANGED_AT), ROWS, JUDGED, {7: NEW_RULE}, fit_tree
    )
    assert (fitted.predictions[JUDGED] == ROWS.labels[JUDGED]).all()


def test_candidates_by_situation():
    assert names(alarm(TRAIN_FIRST, None)) == ["everything"]
    assert names(alarm()) == ["transfer from 1", "since_change"]
    assert names(alarm(), since=SETTINGS.least_rows - 1) == ["transfer from 1"]
    archive = {1: EVERYTHING.until(CHANGED_AT), 2: EVERYTHING.until(CHANGED_AT)}
    third = record(3, reference=2, changed_at=CHANGED_AT)
    assert names(alarm(), third, archive) == [
        "transfer from 3", "transfer from 2", "transfer from 1", "version 2", "version 1", "since_change",
    ]  # fmt: skip
    assert names(alarm(REFRESH), third, archive) == [
        "transfer from 2",
        "transfer from 1",
        "since_change",
    ]
    assert names(alarm(), third, archive, archived=1) == [
        "transfer from 3", "transfer from 2", "version 2", "since_change",
    ]  # fmt: skip
    assert names(alarm(), rows="newest") == ["newest"]
    assert names(alarm(), rows="everything") == ["everything"]


def fitted(name: str, right: int) -> Fitted:
    predictions = ROWS.labels.copy()
    predictions[CHANGE + right :] = 1 - predictions[CHANGE + right :]
    return Fitted(Candidate(name), EVERYTHING, np.ones(1_000), predictions, np.ones(1_000, bool))


@pytest.mark.parametrize(("second", "chosen"), [(91, "first"), (99, "second"), (80, "first")])
def test_a_later_candidate_must_be_credibly_better(second: int, chosen: str):
    found = choose([fitted("first", 90), fitted("second", second)], ROWS, JUDGED, SETTINGS)
    assert found.candidate.name == chosen


@pytest.mark.parametrize(
    ("goes_on", "second", "chosen"),
    [(False, 93, "second"), (True, 93, "first"), (True, 96, "second")],
)
def test_one_that_goes_on_to_follow_a_change_is_given_up_on_more_evidence(
    goes_on: bool, second: int, chosen: str
):
    first = fitted("first", 90)
    first = replace(first, candidate=replace(first.candidate, goes_on=goes_on))
    assert (
        choose([first, fitted("second", second)], ROWS, JUDGED, SETTINGS).candidate.name == chosen
    )


def test_a_candidate_that_predicts_a_single_class_is_taken_only_where_all_do():
    single = replace(
        fitted("single class", 100), predictions=np.full(1_000, ROWS.labels[CHANGE:].max())
    )
    assert choose([single, fitted("worse", 20)], ROWS, JUDGED, SETTINGS).candidate.name == "worse"
    assert choose([single], ROWS, JUDGED, SETTINGS) is single


def test_a_pool_is_cut_at_a_change_and_keeps_its_exclusions():
    region = Region((("temp", -np.inf, 354.0),), 1)
    row_rule = RowRule((Segment(None, START + DAY, (region,)), Segment(START + DAY)))
    assert row_rule.until(START + 2 * DAY).segments[1].end == START + 2 * DAY
    assert row_rule.until(START + DAY) == RowRule((Segment(None, START + DAY, (region,)),))


def test_a_version_keeps_what_it_was_fit_on_and_how_often_it_erred():
    found = cross_fit(TRANSFER, ROWS, JUDGED, {1: OLD_RULE}, fit_tree)
    made = record_of(2, found, alarm(), ROWS.label_time[-1], ROWS, record())
    assert (made.version, made.reference, made.changed_at, made.since_change) == (
        2,
        1,
        CHANGED_AT,
        100,
    )
    assert made.drift_period == ROWS.label_time[-1]
    assert made.errors.judged.sum() == (found.weights > 0).sum()
    assert made.errors.wrong.sum() == (found.predictions != ROWS.labels)[found.weights > 0].sum()
    again = record_of(3, found, alarm(REFRESH), ROWS.label_time[-1] + DAY, ROWS, made)
    assert (again.drift_period, again.reference) == (made.drift_period, 1)


def test_the_borders_that_are_watched_are_fixed_when_an_epoch_begins_and_measured_for_each_version():
    found = cross_fit(TRANSFER, ROWS, JUDGED, {1: OLD_RULE}, fit_tree)
    taken = (found.weights > 0) & (found.predictions >= 0)
    kept, predictions = ROWS.take(taken), found.predictions[taken]
    low = next(
        each
        for each in boundary_strips(kept, predictions)
        if (each.code, each.sides[0][0]) == (0, "pressure")
    )
    known = record(strips=(strip(low, 5, 5),))
    answer = record_of(2, found, alarm(), ROWS.label_time[-1], ROWS, known)
    assert tuple(each.region for each in answer.strips) == boundary_strips(kept, predictions)
    assert [
        each.region
        for each in record_of(3, found, alarm(REFRESH), ROWS.label_time[-1], ROWS, record()).strips
    ] == [each.region for each in answer.strips]
    [again] = record_of(3, found, alarm(REFRESH), ROWS.label_time[-1], ROWS, known).strips
    inside = low.box(kept) & (predictions == 0)
    assert again.region == low
    assert 0 < again.errors.judged.sum() == inside.sum() < (predictions == 0).sum()
    assert again.errors.wrong.sum() == (inside & (predictions != kept.labels)).sum()


def test_how_often_a_version_errs_where_an_earlier_one_predicts_otherwise_is_on_its_record():
    found = cross_fit(TRANSFER, ROWS, JUDGED, {1: OLD_RULE}, fit_tree)
    differs = JUDGED & (found.predictions != OLD_RULE)
    wrong = differs & (found.predictions != ROWS.labels)
    kept = record_of(
        2,
        replace(found, by_version={1: OLD_RULE, 6: 1 - OLD_RULE}),
        alarm(),
        ROWS.label_time[-1],
        ROWS,
        record(),
    )
    assert [
        (version, each.judged.sum(), each.wrong.sum()) for version, each in kept.disputes.items()
    ] == [
        (1, differs.sum(), wrong.sum()),
        (
            6,
            (JUDGED & (found.predictions == OLD_RULE)).sum(),
            (JUDGED & (found.predictions == OLD_RULE) & (ROWS.labels != OLD_RULE)).sum(),
        ),
    ]
    assert wrong.sum() < differs.sum() / 2
    archived_one = cross_fit(
        Candidate("version 4", start=CHANGED_AT, version=4), ROWS, JUDGED, {4: OLD_RULE}, fit_tree
    )
    other = replace(archived_one, by_version={4: OLD_RULE, 1: 1 - OLD_RULE})
    back = restored(
        record(4, expected_error=DIFFICULTY), EVERYTHING, other, alarm(), ROWS.label_time[-1], ROWS
    )
    assert {version: each.judged.sum() for version, each in back.disputes.items()} == {
        4: 0,
        1: JUDGED.sum(),
    }
    assert back.disputes[1].wrong.sum() == (JUDGED & (ROWS.labels != OLD_RULE)).sum()


def test_an_archived_version_comes_back_with_its_own_record_and_a_new_epoch():
    archive = archived({5: EVERYTHING}, record(1), CHANGED_AT)
    assert list(archive) == [5, 1]
    same = cross_fit(
        Candidate("version 1", start=CHANGED_AT, version=1), ROWS, JUDGED, {1: OLD_RULE}, fit_tree
    )
    back = restored(
        record(1, expected_error=DIFFICULTY), archive[1], same, alarm(), ROWS.label_time[-1], ROWS
    )
    assert (back.version, back.drift_period, back.reference, back.since_change) == (
        1,
        ROWS.label_time[-1],
        1,
        100,
    )
    assert back.row_rule.mask(ROWS).all()
    assert list(archived(archive, record(5), CHANGED_AT)) == [1, 5]


def test_the_archived_version_whose_rule_is_back_is_tried_first():
    archive = {1: EVERYTHING.until(CHANGED_AT), 2: EVERYTHING.until(CHANGED_AT)}
    decision = Decision(RETRAIN, "a rule", (), {RETURNED: 1.0}, CHANGED_AT)
    assert names(decision, record(3, reference=2, changed_at=CHANGED_AT), archive) == [
        "transfer from 1", "version 1", "transfer from 3", "transfer from 2", "version 2", "since_change",
    ]  # fmt: skip


def test_the_return_of_the_newest_champions_of_other_epochs_is_looked_for():
    row_rules = dict.fromkeys((1, 2, 3, 4), EVERYTHING)
    records = {
        version: record(version, drift_period=START - version * DAY) for version in row_rules
    }
    champion = record(5, drift_period=START - 3 * DAY)
    assert recalled(row_rules, champion, records, SETTINGS) == [4, 2, 1]
    assert recalled(row_rules, champion, records, CandidateSettings(archived=1)) == [4]
