import numpy as np
import pytest

from lakehouse.retraining.policy.detection.diagnose import (
    ColumnDrift,
    Shifts,
    diagnose,
    expectation_missed,
    in_words,
    probability_of_change,
    share_unseen,
)
from lakehouse.retraining.policy.records import Region
from tests.support.policy_rows import START, counts, quiet, record

ALARM = np.log(10_000)
REGION = Region((("temp", 351.02, 353.96),), 1)
STILL = ColumnDrift("temp", 0.01, 0.7)
MOVED = ColumnDrift("temp", 0.9, 1e-9, outside=0.19, since=START)


def diagnosed(
    log_statistic: float, *features: ColumnDrift, is_dated: bool = False, **shares: ColumnDrift
):
    shifts = Shifts(features or (STILL,), **shares)
    return diagnose(quiet(log_statistic), ALARM, shifts, (REGION,), ("0", "1"), is_dated)


def test_a_changed_rule_is_a_concept_drift_with_time_place_and_certainty():
    found = diagnosed(20.0)
    assert found.kinds == ("concept",)
    assert found.sentences == (
        "the rule has changed, most probably at 2024-03-01 02:00 (90 %: 2024-03-01 00:00 to "
        "2024-03-01 02:00)",
        "temp between 351 and 354 is no longer 1",
    )
    assert found.confidence > 0.99
    assert found.advice == "retrain"


def test_what_the_decision_has_dated_is_not_dated_again():
    said, again = diagnosed(20.0, is_dated=True), diagnosed(20.0)
    assert said.sentences == ("the rule has changed", "temp between 351 and 354 is no longer 1")
    assert (said.since, said.between, said.confidence) == (
        again.since,
        again.between,
        again.confidence,
    )


def test_moved_sensors_without_errors_are_a_feature_drift_that_is_watched():
    found = diagnosed(2.0, MOVED)
    assert (found.kinds, found.where, found.since) == (("feature",), (), START)
    assert found.advice.startswith("watch: accuracy holds, but temp leaves what the model has seen")
    assert (
        "temp has drifted since 2024-03-01 00:00 (index 0.90, p 1e-09, 19.0% outside"
        in found.sentences[0]
    )


def test_values_of_a_new_kind_are_reported_though_the_distribution_holds():
    found = diagnosed(2.0, ColumnDrift("shift", 0.03, 0.4, outside=0.03, since=START))
    assert (found.kinds, found.since) == (("feature",), START)
    assert found.sentences[0].startswith(
        "shift has values of a new kind since 2024-03-01 00:00 (index 0.03"
    )
    assert found.advice.startswith(
        "watch: accuracy holds, but shift leaves what the model has seen"
    )
    assert diagnosed(2.0, ColumnDrift("shift", 0.03, 0.4, outside=0.009)).kinds == ()


def test_a_category_is_unseen_where_no_row_of_the_training_had_it():
    assert share_unseen({"early": 90, "late": 7, "night": 3}, ["early", "late"]) == 0.03
    assert share_unseen({}, ["early"]) == 0.0


def test_missing_values_point_at_the_sensor():
    found = diagnosed(20.0, ColumnDrift("pressure", 0.0, 0.9, nulls=0.02))
    assert found.kinds == ("concept", "feature")
    assert found.advice == "investigate the sensor of pressure; a retraining bridges it"


def test_feature_and_concept_drift_together_are_both_named():
    found = diagnosed(20.0, MOVED)
    assert found.kinds == ("concept", "feature")
    assert found.advice == "retrain, and look for what moved temp"


def test_shares_of_classes_are_named_as_what_they_are():
    shares = ColumnDrift("quality", 0.3, 1e-6, since=START)
    assert diagnosed(2.0, label=shares).kinds == ("label",)
    assert diagnosed(2.0, prediction=shares).kinds == ("prediction",)


@pytest.mark.parametrize("column", [ColumnDrift("temp", 0.3, 0.2), ColumnDrift("temp", 0.1, 1e-9)])
def test_a_drift_must_be_large_and_significant(column: ColumnDrift):
    found = diagnosed(2.0, column)
    assert (found.kinds, found.sentences, found.advice) == ((), ("nothing has drifted",), "nothing")


def test_certainty_grows_with_the_evidence():
    levels = [probability_of_change(quiet(level)) for level in (0.0, ALARM, 20.0)]
    assert levels[0] < 0.001
    assert levels[1] == pytest.approx(0.5)
    assert levels[2] > 0.9999


def test_regions_in_words():
    inf = np.inf
    assert in_words(
        Region((("temp", -inf, 354.0), ("pressure", 12.0, inf)), 1), ("bad", "good")
    ) == ("temp up to 354 and pressure above 12 is no longer good")
    assert (
        in_words(Region((), 0), ("bad", "good"))
        == "everywhere, what was called so is no longer bad"
    )


@pytest.mark.parametrize(("wrong", "words"), [(3, []), (12, ["of 96 labelled rows are right"])])
def test_labels_that_differ_from_the_expectation_beyond_chance_are_named(
    wrong: int, words: list[str]
):
    labels = counts([wrong // 3] * 3 + [0] * 9)
    said = expectation_missed(labels, record(judged=1_000, wrong=30))
    assert len(said) == len(words)
    assert all(word in line for word, line in zip(words, said, strict=True))


def test_labels_of_another_versions_predictions_say_nothing_of_the_champion():
    assert expectation_missed(counts([8] * 12, version=2), record(version=1)) == []
