from dataclasses import replace

import numpy as np
import pytest

from lakehouse.models.expected_error.spline_logistic import N_BINS
from lakehouse.retraining.policy.detection.detect import detect
from lakehouse.retraining.policy.detection.shiryaev_roberts import (
    EFFECTS,
    log_likelihood_ratios,
    shiryaev_roberts,
    upper_rates,
)
from lakehouse.retraining.policy.records import (
    ArchivedPredictions,
    BinCounts,
    Errors,
    Recent,
    Region,
)
from tests.support.policy_rows import DAY, EASY, HOUR, START, counts, record, rows, strip

MEMORY = 56 * DAY
ALARM = np.log(10_000)
CALM, RISEN = [0, 1, 0, 0] * 18, [3] * 12


def joined(*parts: BinCounts) -> BinCounts:
    columns = ("hour", "version", "bin", "labelled", "wrong")
    return BinCounts(*(np.concatenate([getattr(part, name) for part in parts]) for name in columns))


def shuffled(given: BinCounts, seed: int) -> BinCounts:
    return given.take(np.random.default_rng(seed).permutation(len(given.hour)))


def evidence(given: BinCounts, **fields: object) -> float:
    return detect(given, {1: record(**fields)}, 1, MEMORY).log_statistic


def test_a_champion_that_errs_as_in_training_raises_nothing():
    assert evidence(counts(CALM)) < np.log(len(CALM) * 8 * 10)


def test_a_risen_error_rate_is_noticed_and_dated_with_an_interval():
    found = detect(counts(CALM + RISEN), {1: record()}, 1, MEMORY)
    assert found.log_statistic > ALARM
    assert abs(found.change_at - (START + 72 * HOUR)) <= HOUR
    low, high = found.interval()
    assert low <= found.change_at <= high
    assert high - low <= 8 * HOUR


def test_labels_that_come_in_another_order_change_nothing():
    given = counts(CALM + RISEN)
    assert evidence(shuffled(given, 1)) == pytest.approx(evidence(given))


def test_counts_of_one_hour_that_came_in_parts_add_up():
    given = counts(CALM + RISEN)
    halves = joined(counts([0] * 84, labelled=3), counts(CALM + RISEN, labelled=5))
    assert evidence(halves) == pytest.approx(evidence(given))


def test_labels_that_come_months_late_do_not_raise_an_alarm_by_being_late():
    late = counts(CALM * 2)
    kept = np.ones(len(late.hour), dtype=bool)
    kept[20:60] = False
    assert evidence(late) == pytest.approx(evidence(joined(late.take(kept), late.take(~kept))))
    assert evidence(late) < ALARM - 2


def test_a_day_is_held_against_the_days_before_it_and_not_against_itself():
    risen = counts(RISEN)
    rate = upper_rates(np.array([30.0]), np.array([1_000.0]))
    effects = np.array(EFFECTS)[:, None] * np.ones((2, 1, 12))
    ratios = log_likelihood_ratios(risen.wrong, risen.labelled, rate, effects.reshape(-1, 12))
    other_class = np.zeros((len(EFFECTS), 12))
    by_hand = shiryaev_roberts(np.concatenate([ratios, other_class]), risen.labelled)
    assert evidence(risen) == pytest.approx(by_hand.log_statistic)


def test_errors_on_easy_rows_say_more_than_errors_on_hard_ones():
    easy = evidence(counts(CALM + [1] * 12), wrong=5)
    hard = evidence(counts(CALM + [1] * 12), wrong=250)
    assert easy > hard + 3


def test_a_change_of_one_class_is_seen_among_the_predictions_of_the_other():
    calm = counts([0] * 84, bins=N_BINS + EASY)
    changed = counts([0] * 80 + [2] * 4, labelled=4)
    steady = counts([0, 1] * 42, labelled=8, bins=N_BINS + EASY + 1)
    assert evidence(joined(calm, changed, steady), wrong=60) > ALARM


def test_versions_of_earlier_epochs_do_not_count():
    given = joined(counts(RISEN * 4), counts([0] * 48, version=2))
    later = record(2, drift_period=START, reference=1)
    earlier = record(1, drift_period=START - DAY)
    assert detect(given, {1: earlier, 2: later}, 2, MEMORY).log_statistic < ALARM - 2


def test_a_change_before_the_memory_is_not_looked_for():
    found = detect(counts(RISEN + CALM * 2), {1: record()}, 1, 2 * DAY)
    assert len(found.times) == 48
    assert found.log_statistic < ALARM - 2


def test_without_labels_there_is_no_evidence():
    found = detect(counts([0, 0], labelled=0), {1: record()}, 1, MEMORY)
    assert (found.log_statistic, found.change_at, found.interval()) == (-np.inf, None, None)


def test_the_change_point_is_near_the_truth_in_nine_of_ten_runs():
    """A rise from 4 to 25 %: half of the hours called are within 4 of the truth, nine of ten within
    12.
    """
    rng = np.random.default_rng(4)
    misses = []
    for _ in range(200):
        wrong = np.concatenate([rng.binomial(8, 0.03, 96), rng.binomial(8, 0.25, 24)])
        found = detect(counts(list(wrong)), {1: record()}, 1, MEMORY)
        misses.append(abs((found.change_at - START) / HOUR - 96))
    assert np.median(misses) <= 2
    assert np.percentile(misses, 90) <= 6


def test_its_interval_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(5)
    held = []
    for _ in range(200):
        wrong = np.concatenate([rng.binomial(8, 0.03, 96), rng.binomial(8, 0.25, 24)])
        low, high = detect(counts(list(wrong)), {1: record()}, 1, MEMORY).interval(0.9)
        held.append(low <= (START + 96 * HOUR).astype("datetime64[h]") <= high)
    assert np.mean(held) >= 0.85


def recent(
    wrong: list[int], labelled: list[int], bins: int = EASY, archived_bin: int = N_BINS + EASY
) -> Recent:
    """Of which version 7 calls all the other class."""
    hours = (START + np.arange(len(wrong)) * HOUR).astype("datetime64[h]")
    same = np.ones(len(wrong), dtype=int)
    part = BinCounts(hours, same, bins * same, np.array(labelled), np.array(wrong))
    differs = np.full(len(same), archived_bin // N_BINS != bins // N_BINS)
    return Recent(
        part,
        rows(np.zeros((len(same), 2)), same),
        {7: ArchivedPredictions(archived_bin * same, differs)},
    )


def archive(**given: object) -> dict:
    return {1: record(), 7: record(7, drift_period=START - 9 * DAY, **given)}


def test_that_an_archived_rule_is_back_is_seen_in_a_few_rows_that_the_champion_alone_does_not_tell():
    given = counts([*CALM, 1, 1, 1, 1])
    part = recent([0] * 72 + [1, 1, 1, 1], [0] * 72 + [1, 1, 1, 1])
    alone, found = detect(given, archive(), 1, MEMORY), detect(given, archive(), 1, MEMORY, part)
    assert alone.log_statistic < ALARM < found.log_statistic
    assert (alone.returned, found.returned) == (None, 7)
    assert found.change_at == START + 72 * HOUR


def test_an_archived_version_that_is_wrong_where_the_two_differ_is_no_evidence():
    part = recent([0] * 84, [1] * 84)
    given = counts(CALM + RISEN)
    found = detect(given, archive(), 1, MEMORY, part)
    assert found.returned is None
    assert found.log_statistic == pytest.approx(evidence(given) + np.log(0.7))


def test_an_archived_version_that_predicts_the_same_is_no_evidence():
    part = recent([0] * 72 + [1] * 4, [0] * 72 + [1] * 4, archived_bin=EASY)
    given = counts([*CALM, 1, 1, 1, 1])
    found = detect(given, archive(), 1, MEMORY, part)
    rows_alone = np.log(0.7 * np.exp(evidence(given)) + 0.3 * given.labelled.sum())
    assert found.log_statistic == pytest.approx(rows_alone)


def test_an_archived_version_that_is_unsure_says_less():
    """Unsure in all its bins, or in the one that its call is in."""
    given, part = counts(CALM + [1] * 4), recent([0] * 72 + [1] * 4, [0] * 72 + [1] * 4)
    sure, unsure = (
        detect(given, archive(wrong=wrong), 1, MEMORY, part).log_statistic for wrong in (10, 900)
    )
    assert sure > unsure + 1
    errors = np.full(2 * N_BINS, 10.0)
    errors[-1] = 900
    known = archive() | {
        7: record(
            7, drift_period=START - 9 * DAY, errors=Errors(np.full(2 * N_BINS, 1_000.0), errors)
        )
    }
    hard = recent([0] * 72 + [1] * 4, [0] * 72 + [1] * 4, archived_bin=2 * N_BINS - 1)
    easy, hard_one = (detect(given, known, 1, MEMORY, each).log_statistic for each in (part, hard))
    assert easy == pytest.approx(sure)
    assert hard_one == pytest.approx(unsure)


@pytest.mark.slow
def test_rows_that_an_archived_version_predicts_otherwise_raise_no_more_false_alarms_than_stated():
    """400 streams of 700 unchanged rows, one in five of them disputed: at most one in fourteen, by
    Markov.
    """
    rng = np.random.default_rng(6)
    alarms = 0
    for _ in range(400):
        wrong = rng.binomial(7, 0.03, 100)
        part = recent(list(rng.binomial(wrong, 0.2)), list(rng.binomial(7 - wrong, 0.2)))
        part.counts.labelled[:] += part.counts.wrong
        found = detect(counts(list(wrong), labelled=7), archive(), 1, MEMORY, part)
        alarms += found.log_statistic > ALARM
    assert alarms / 400 <= 700 / 10_000


def test_a_part_of_another_epoch_or_beyond_the_memory_does_not_count():
    given = counts(CALM * 2)
    part = recent([1] * 24, [1] * 24)
    other = replace(part, counts=counts([1] * 24, labelled=1, version=7))
    for one, memory in ((part, 2 * DAY), (other, MEMORY)):
        with_part = detect(given, archive(), 1, memory, one).log_statistic
        assert with_part == pytest.approx(
            detect(given, archive(), 1, memory, recent([], [])).log_statistic
        )


LOW, HIGH = strip(Region((("temp", -np.inf, 0.1),), 0)), strip(Region((("temp", 0.9, np.inf),), 0))


def by_row(wrong: np.ndarray, features: np.ndarray, code: int = 0) -> tuple[BinCounts, Recent]:
    """Seven rows an hour that get the same call."""
    hours = (START + np.arange(len(wrong)) // 7 * HOUR).astype("datetime64[h]")
    same = np.ones(len(wrong), dtype=int)
    single = BinCounts(
        hours, same, (code * N_BINS + EASY) * same, same, np.asarray(wrong, dtype=int)
    )
    return single, Recent(single, rows(features, same), {})


def test_a_border_that_moves_is_seen_in_a_few_rows_of_one_part_of_a_feature():
    temp = np.tile(np.linspace(0, 1, 21), 24)
    wrong = (temp <= 0.1) & (np.arange(len(temp)) >= 23 * 21)
    wrong[::40] = True
    single, newest = by_row(wrong, np.column_stack([temp, temp]))
    known = {1: record(strips=(LOW, HIGH))}
    alone, without = (
        detect(single, known, 1, MEMORY),
        detect(single, {1: record()}, 1, MEMORY, newest),
    )
    found = detect(single, known, 1, MEMORY, newest)
    assert without.log_statistic == pytest.approx(alone.log_statistic)
    assert found.log_statistic > alone.log_statistic + 2
    assert abs(found.change_at - (START + 23 * 3 * HOUR)) <= HOUR
    others = (
        detect(single, {1: record(strips=(HIGH, HIGH))}, 1, MEMORY, newest),
        detect(
            single, {1: record(strips=(strip(replace(LOW.region, code=1)),))}, 1, MEMORY, newest
        ),
    )
    assert all(each.log_statistic < found.log_statistic - 2 for each in others)


def test_a_border_at_which_a_version_always_erred_is_no_evidence():
    """Nor one at which the row's own version did, where another of the epoch did not."""
    temp = np.tile(np.linspace(0, 1, 21), 24)
    single, newest = by_row(
        (temp <= 0.1) & (np.arange(len(temp)) % 2 == 0), np.column_stack([temp, temp])
    )
    unmeasured, good, bad = LOW, strip(LOW.region, 400, 4), strip(LOW.region, 400, 200)
    found = {
        name: detect(single, {1: record(strips=(each,))}, 1, MEMORY, newest).log_statistic
        for name, each in {"unmeasured": unmeasured, "good": good, "bad": bad}.items()
    }
    assert found["unmeasured"] == pytest.approx(found["good"])
    assert found["bad"] < found["good"] - 5
    both = {1: record(strips=(bad,)), 2: record(2, strips=(good,))}
    assert detect(single, both, 2, MEMORY, newest).log_statistic == pytest.approx(found["bad"])


def test_a_rule_is_not_back_where_the_champion_is_at_a_loss_as_it_always_was():
    given, part = counts(CALM + [1] * 4), recent([0] * 72 + [1] * 4, [0] * 72 + [1] * 4)
    measured = Errors(np.full(2 * N_BINS, 20.0), np.full(2 * N_BINS, 10.0))
    sure = detect(given, archive(), 1, MEMORY, part)
    unsure = detect(given, archive() | {1: record(disputes={7: measured})}, 1, MEMORY, part)
    of_another = detect(given, archive() | {1: record(disputes={6: measured})}, 1, MEMORY, part)
    assert unsure.log_statistic < sure.log_statistic - 3
    assert of_another.log_statistic == pytest.approx(sure.log_statistic)


def test_borders_of_many_features_take_no_more_than_a_fifth_of_the_weight():
    single, newest = by_row(np.arange(700) % 35 == 0, np.full((700, 2), 0.5))
    alone = evidence(single)
    for strips in ((LOW,), (LOW, HIGH) * 50):
        found = detect(single, {1: record(strips=strips)}, 1, MEMORY, newest).log_statistic
        assert np.exp(found) == pytest.approx(0.8 * np.exp(alone) + 0.2 * 700)


@pytest.mark.slow
def test_borders_raise_no_more_false_alarms_than_stated():
    """400 streams of 700 unchanged rows: at most one in fourteen, by Markov."""
    rng = np.random.default_rng(7)
    alarms = 0
    for _ in range(400):
        single, newest = by_row(rng.random(700) < 0.03, rng.random((700, 2)))
        alarms += (
            detect(single, {1: record(strips=(LOW, HIGH))}, 1, MEMORY, newest).log_statistic > ALARM
        )
    assert alarms / 400 <= 700 / 10_000
