"""A change that goes on: how it is told from one that is over, where it is carried on to, and who
follows it.
"""

from dataclasses import replace

import numpy as np
import pytest

from lakehouse.retraining.policy.candidates.choice import (
    Candidate,
    Fitted,
    candidates_of,
    cross_fit,
    fold_of,
    judged_at_gate,
    row_rule_of,
    weights_by_fold,
)
from lakehouse.retraining.policy.candidates.moving import (
    AGAIN,
    BEGINS,
    GOES_ON,
    motion,
    moving_regions,
)
from lakehouse.retraining.policy.decide import (
    KEEP,
    REFRESH,
    RETRAIN,
    Decision,
    DecisionInput,
    decide,
)
from lakehouse.retraining.policy.records import Moving, RowRule, Rows, Segment
from lakehouse.retraining.policy.version import record_of
from lakehouse.settings import CandidateSettings, PolicySettings
from lakehouse.simulation.learner import fit_tree
from tests.support.policy_rows import DAY, HOUR, START, history, record, rows

BEFORE, SINCE = 600, 860
COUNT = BEFORE + SINCE
RNG = np.random.default_rng(7)
VALUES = np.column_stack([RNG.uniform(350, 360, COUNT), RNG.normal(12, 2, COUNT)])
OLD_RULE = (VALUES[:, 0] > 351).astype(int)
AFTER = np.maximum(np.arange(COUNT) - BEFORE, 0) / SINCE
EVERYTHING = RowRule((Segment(None),))
NEW = np.arange(COUNT) >= BEFORE


def stream(low: np.ndarray) -> Rows:
    """Rows whose rule has this lower limit, but for 4 % of noise."""
    noise = np.random.default_rng(8).random(COUNT) < 0.04
    return rows(VALUES, (VALUES[:, 0] > low).astype(int) ^ noise)


CREEPING = stream(351 + 1.5 * AFTER)
STEPPED = stream(np.where(NEW, 352.0, 351.0))
CHANGED_AT = CREEPING.event_time[BEFORE]
NEWEST = CREEPING.event_time[-1]
FOLLOWING = Candidate("moving from 1", EVERYTHING.until(CHANGED_AT), 1, CHANGED_AT, moving=BEGINS)
MOVING = EVERYTHING.without(moving_regions(CREEPING.take(NEW), OLD_RULE[NEW]))


def offered(
    action: str = RETRAIN, champion=None, archive=None, newest=NEWEST, **settings: object
) -> Candidate | None:
    decision = Decision(action, "a rule", (), change_at=CHANGED_AT)
    given = CandidateSettings.model_validate(settings)
    found = candidates_of(decision, champion or record(), archive or {}, newest, 500, given)
    return next((each for each in found if each.moving is not None), None)


def test_a_change_that_goes_on_is_distinguished_from_one_that_is_over():
    assert motion(CREEPING.take(NEW), OLD_RULE[NEW]) > BEGINS
    assert motion(STEPPED.take(NEW), OLD_RULE[NEW]) < BEGINS
    assert motion(CREEPING.take(~NEW), OLD_RULE[~NEW]) < AGAIN


def test_its_region_reaches_a_little_beyond_the_newest_rows_and_holds_one_label_alone():
    region = next(
        each for each in moving_regions(CREEPING.take(NEW), OLD_RULE[NEW]) if each.code == 1
    )
    temps = np.linspace(350, 360, 201)
    good, bad = (
        region.contradicts(rows(np.column_stack([temps, np.full(201, 12.0)]), np.full(201, code)))
        for code in (1, 0)
    )
    assert 352.2 < temps[good & (temps < 356)].max() < 353.3
    assert good[temps > 353.3].mean() < 0.1
    assert good[(temps > 351) & (temps < 352)].all()
    assert not bad.any()


def test_a_region_finds_its_features_by_name():
    region = next(
        each for each in moving_regions(CREEPING.take(NEW), OLD_RULE[NEW]) if each.code == 1
    )
    turned = replace(CREEPING, names=("pressure", "temp"), features=CREEPING.features[:, ::-1])
    assert np.array_equal(region.contradicts(turned), region.contradicts(CREEPING))
    assert region.contradicts(CREEPING).any()


def test_it_is_carried_on_by_at_most_a_quarter_of_what_was_seen():
    new = CREEPING.take(NEW)
    late = replace(new, label_time=new.label_time + 300 * DAY)
    later = replace(new, label_time=new.label_time + 600 * DAY)
    assert moving_regions(late, OLD_RULE[NEW]) == moving_regions(later, OLD_RULE[NEW])
    assert moving_regions(late, OLD_RULE[NEW]) != moving_regions(new, OLD_RULE[NEW])


def test_old_rows_and_new_ones_that_it_has_passed_are_left_out():
    row_rule, weights = row_rule_of(FOLLOWING, CREEPING, OLD_RULE, np.ones(COUNT, bool))
    passed = (VALUES[:, 0] > 351.2) & (VALUES[:, 0] < 352.3) & (CREEPING.labels == 1)
    assert (passed & NEW).sum() > 20
    assert weights[passed].mean() < 0.05
    assert (weights[VALUES[:, 0] > 353.5] > 0).mean() > 0.95
    assert row_rule.is_moving
    assert not EVERYTHING.is_moving
    assert np.array_equal(row_rule.mask(CREEPING), weights > 0)


def test_one_that_begins_to_follow_has_to_prove_its_forecast_and_one_that_goes_on_is_judged_as_of_now():
    goes_on = replace(FOLLOWING, goes_on=True)
    near = (VALUES[:, 0] > 352.2) & (VALUES[:, 0] < 352.5) & (CREEPING.labels == 1)
    taken = []
    for each in (FOLLOWING, goes_on):
        fold, by_fold = fold_of(COUNT), weights_by_fold(each, CREEPING, OLD_RULE)
        assert all((weights[fold == out] == 0).all() for out, weights in enumerate(by_fold))
        taken.append(
            np.mean([weights[near & (fold != out)].mean() for out, weights in enumerate(by_fold)])
        )
    begun, gone_on = taken
    assert gone_on > begun + 0.1
    row_rules = [
        row_rule_of(each, CREEPING, OLD_RULE, np.ones(COUNT, bool))[0]
        for each in (FOLLOWING, goes_on)
    ]
    assert row_rules[0] == row_rules[1]


def test_it_beats_what_holds_the_change_for_over():
    static = Candidate("transfer", EVERYTHING.until(CHANGED_AT), 1, CHANGED_AT, 3.0)
    late = CREEPING.event_time >= NEWEST - DAY
    true = (VALUES[:, 0] > 352.5).astype(int)
    models = []
    for each in (FOLLOWING, static):
        _, weights = row_rule_of(each, CREEPING, OLD_RULE, np.ones(COUNT, bool))
        taken = weights > 0
        models.append(fit_tree(VALUES[taken], CREEPING.labels[taken], weights[taken]))
    following, holding = ((model.predict(VALUES) == true)[~late].mean() for model in models)
    assert following > 0.97
    assert following > holding + 0.02


def test_where_the_change_is_over_nobody_follows_it():
    assert cross_fit(FOLLOWING, CREEPING, NEW, {1: OLD_RULE}, fit_tree) is not None
    assert cross_fit(FOLLOWING, STEPPED, NEW, {1: OLD_RULE}, fit_tree) is None


def test_it_is_found_by_the_champion_from_before_the_change_once_a_third_of_the_stretch_has_passed():
    found = offered()
    assert (found.reference, found.start, found.moving) == (1, CHANGED_AT, BEGINS)
    assert found.compared_from == NEWEST - 36 * HOUR
    assert offered(newest=CHANGED_AT + 2 * DAY) is not None
    assert offered(newest=CHANGED_AT + 2 * DAY - np.timedelta64(1, "m")) is None
    assert offered(newest=CHANGED_AT + 20 * DAY).start == CHANGED_AT + 14 * DAY
    assert offered(moving=None) is None


def test_after_two_changes_within_the_stretch_it_is_found_by_the_champion_from_before_both():
    second = record(2, reference=1, changed_at=CHANGED_AT - 2 * DAY)
    recent, past = EVERYTHING.until(CHANGED_AT - 2 * DAY), EVERYTHING.until(CHANGED_AT - 20 * DAY)
    newest = CHANGED_AT + 3 * DAY
    found = offered(champion=second, archive={1: recent}, newest=newest)
    assert (found.reference, found.start, found.moving) == (1, CHANGED_AT - 2 * DAY, AGAIN)
    assert offered(champion=second, archive={1: past}, newest=newest).reference == 2


def test_a_champion_that_follows_goes_on_by_the_same_reference_on_less_evidence():
    follower = record(5, reference=1, row_rule=MOVING, changed_at=CHANGED_AT)
    archive = {1: EVERYTHING.until(CHANGED_AT - 9 * DAY), 4: EVERYTHING.until(CHANGED_AT)}
    for action in (RETRAIN, REFRESH):
        found = offered(action, follower, archive)
        assert (found.reference, found.start, found.moving, found.goes_on) == (
            1,
            NEWEST - 6 * DAY,
            GOES_ON,
            True,
        )
    assert not offered().goes_on


def test_a_version_that_follows_remembers_which_version_shows_the_change():
    fitted = cross_fit(FOLLOWING, CREEPING, NEW, {1: OLD_RULE}, fit_tree)
    made = record_of(
        6, fitted, Decision(RETRAIN, "", (), change_at=CHANGED_AT), NEWEST, CREEPING, record(5)
    )
    assert made.reference == 1
    assert made.row_rule.is_moving


def test_a_follower_is_judged_on_the_newest_rows():
    predictions = np.zeros(COUNT, int)
    asked = np.ones(COUNT, bool)
    asked[-3] = False
    fitted = Fitted(
        replace(FOLLOWING, compared_from=CREEPING.event_time[-10]),
        EVERYTHING,
        np.ones(COUNT),
        predictions,
        asked,
    )
    other = Fitted(
        replace(FOLLOWING, compared_from=None), EVERYTHING, np.ones(COUNT), predictions, asked
    )
    trained = CREEPING.label_time[-20]
    assert judged_at_gate(fitted, CREEPING, NEW, trained).nonzero()[0].tolist() == [
        COUNT - place for place in (10, 9, 8, 7, 6, 5, 4, 2, 1)
    ]
    assert judged_at_gate(other, CREEPING, NEW, trained).sum() == 18


@pytest.mark.parametrize(("row_rule", "action"), [(MOVING, REFRESH), (EVERYTHING, KEEP)])
def test_a_follower_is_trained_again_with_each_batch_and_refused_on_evidence_alone(
    row_rule: RowRule, action: str
):
    champion = record(reference=1, changed_at=START, row_rule=row_rule)
    policy = PolicySettings()
    found = decide(DecisionInput(START, champion, 1_001, 1_000, history([0] * 24)), 100, policy)
    assert found.action == action
    assert (
        decide(DecisionInput(START, champion, 1_000, 1_000, history([0] * 24)), 100, policy).action
        == KEEP
    )
    if action == REFRESH:
        assert found.confidence == policy.gate.moving_confidence


def test_regions_are_plain_values():
    assert moving_regions(CREEPING.take(np.zeros(COUNT, bool)), OLD_RULE[:0]) == ()
    assert {type(each) for each in MOVING.segments[0].without} == {Moving}
