from dataclasses import replace

import numpy as np
import pytest

from lakehouse.models.expected_error.spline_logistic import fit_spline_logistic
from lakehouse.retraining.policy.candidates import choice as candidates
from lakehouse.retraining.policy.candidates.choice import (
    Candidate,
    Fitted,
    candidates_of,
    choose,
    cross_fit,
    row_rule_of,
)
from lakehouse.retraining.policy.candidates.regions import contradicted
from lakehouse.retraining.policy.decide import REFRESH, RETRAIN, TRAIN_FIRST, Decision
from lakehouse.retraining.policy.records import Region, RowRule, Segment
from lakehouse.retraining.policy.version import MOST_ARCHIVED, archived, record_of, restored
from lakehouse.settings import CandidateSettings
from tests.support.policy_rows import DAY, START, record, rows
from tests.support.trees import fit_tree

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
    found = candidates_of(decision, champion or record(), archive or {}, since, given)
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
    candidate = candidates_of(alarm(), record(), {}, 500, SETTINGS)[0]
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


def test_neighbours_in_time_are_no_help():
    """Labels that last for an hour, and a feature that tells the time: neighbours know, a model of
    other hours does not.
    """
    hours = np.random.default_rng(4).integers(0, 2, 100)
    time = np.arange(600.0)
    alike = rows(np.column_stack([time, time]), np.repeat(hours, 6))
    memory = lambda features, labels, weights: fit_tree(features, labels, weights, ccp_alpha=0.0)  # noqa: E731
    fitted = cross_fit(Candidate("everything"), alike, np.ones(600, bool), {}, memory)
    assert (fitted.predictions == alike.labels).mean() < 0.6


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
    windows = ["last 30 days", "last 7 days", "last 3 days"]
    rest = ["since_change", "everything", *windows]
    assert names(alarm(TRAIN_FIRST, None), since=100) == ["everything", *windows]
    assert names(alarm(REFRESH, None)) == ["everything", *windows]
    assert names(alarm()) == ["transfer from 1", *rest]
    assert names(alarm(), since=40) == ["transfer from 1", *rest]
    assert names(alarm(), since=39) == ["transfer from 1", "everything", *windows]
    archive = {1: EVERYTHING.until(CHANGED_AT), 2: EVERYTHING.until(CHANGED_AT)}
    third = record(3, reference=2, changed_at=CHANGED_AT)
    assert names(alarm(), third, archive) == [
        "transfer from 3", "transfer from 2", "transfer from 1", "version 2", "version 1", *rest,
    ]  # fmt: skip
    five = names(alarm(), record(9), dict.fromkeys(range(1, MOST_ARCHIVED + 1), EVERYTHING))
    assert [each for each in five if each.startswith("version")] == [
        "version 5", "version 4", "version 3", "version 2", "version 1",
    ]  # fmt: skip
    refresh = ["since_change", "everything", *windows]
    assert names(alarm(REFRESH), third, archive) == ["transfer from 2", *refresh]
    assert names(alarm(REFRESH), third) == ["transfer from 3", *refresh]
    assert names(alarm(), windows=["36 hours"])[-1] == "last 1.5 days"
    assert names(alarm(), rows="newest") == ["last 30 days"]
    assert names(alarm(), rows="everything") == ["everything"]


def test_a_version_that_came_back_is_refreshed_from_its_rows_before_the_change():
    """Else its new rows would count as selected to agree, where the rule of old is contradicted."""
    old = RowRule((Segment(None, START + DAY),))
    back = record(1, reference=1, changed_at=CHANGED_AT, row_rule=old.plus(Segment(CHANGED_AT)))
    for archive in ({1: old}, {}):
        transfer, *_ = candidates_of(alarm(REFRESH), back, archive, 500, SETTINGS)
        assert (transfer.reference, transfer.old) == (1, old)


def test_the_first_model_is_fitted_to_all_rows():
    found = candidates_of(alarm(TRAIN_FIRST, None), None, {}, 1_000, SETTINGS)
    assert [each.name for each in found] == ["everything"]


def test_after_a_champion_of_an_older_release_the_rows_since_its_change_are_taken():
    found = candidates_of(alarm(), None, {}, 100, SETTINGS)
    assert [each.name for each in found] == ["since_change"]


def test_a_window_is_counted_back_from_the_newest_row_that_is_known():
    window = Candidate("last 1 day", span=np.timedelta64(1, "D"))
    rule, weights = row_rule_of(window, ROWS, None, np.arange(1_000) < 500)
    assert rule.segments[0].start == ROWS.event_time[499] - DAY
    assert np.flatnonzero(weights)[0] == 499 - 24 * 6


def fitted(name: str, right: int) -> Fitted:
    predictions = ROWS.labels.copy()
    predictions[CHANGE + right :] = 1 - predictions[CHANGE + right :]
    return Fitted(Candidate(name), EVERYTHING, np.ones(1_000), predictions, np.ones(1_000, bool))


@pytest.mark.parametrize(("second", "chosen"), [(91, "first"), (99, "second"), (80, "first")])
def test_a_later_candidate_must_be_credibly_better(second: int, chosen: str):
    found = choose([fitted("first", 90), fitted("second", second)], ROWS, JUDGED, SETTINGS)
    assert found.candidate.name == chosen


@pytest.mark.parametrize(
    ("version", "right", "chosen"), [(7, 91, 7), (7, 90, None), (None, 91, None)]
)
def test_an_archived_version_needs_less_to_be_chosen_since_it_was_fitted_to_none_of_the_rows(
    version: int | None, right: int, chosen: int | None
):
    other = fitted("other", right)
    other = replace(other, candidate=replace(other.candidate, version=version))
    found = choose([fitted("first", 90), other], ROWS, JUDGED, SETTINGS)
    assert found.candidate.version == chosen


def test_a_candidate_that_predicts_a_single_class_is_taken_only_where_all_do():
    single = replace(
        fitted("single class", 100), predictions=np.full(1_000, ROWS.labels[CHANGE:].max())
    )
    assert choose([single, fitted("worse", 20)], ROWS, JUDGED, SETTINGS).candidate.name == "worse"
    assert choose([single], ROWS, JUDGED, SETTINGS) is single


def test_a_row_rule_is_cut_at_a_change_and_keeps_its_exclusions():
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
    counted = (found.weights > 0) & ~found.row_rule.thinned(ROWS)
    assert made.errors.judged.sum() == counted.sum() < (found.weights > 0).sum()
    assert made.errors.wrong.sum() == (found.predictions != ROWS.labels)[counted].sum()
    again = record_of(3, found, alarm(REFRESH), ROWS.label_time[-1] + DAY, ROWS, made)
    assert (again.drift_period, again.reference) == (made.drift_period, 1)


def test_an_archived_version_comes_back_with_its_own_record_and_a_new_drift_period():
    archive = archived({5: EVERYTHING}, record(1), CHANGED_AT)
    assert list(archive) == [5, 1]
    kept = record(1, expected_error=DIFFICULTY)
    back = restored(kept, archive[1], alarm(), ROWS.label_time[-1], ROWS)
    assert (back.version, back.drift_period, back.reference, back.since_change) == (
        1,
        ROWS.label_time[-1],
        1,
        100,
    )
    assert back.row_rule.mask(ROWS).all()
    assert list(archived(archive, record(5), CHANGED_AT)) == [1, 5]
