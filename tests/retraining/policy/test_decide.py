import datetime as dt

import numpy as np
import pytest

from lakehouse.retraining.policy.decide import (
    KEEP,
    REFRESH,
    REQUESTED,
    RETRAIN,
    TRAIN_FIRST,
    WAIT,
    DecisionInput,
    decide,
)
from lakehouse.retraining.policy.triggers import TrainingRequest
from lakehouse.settings import PolicySettings
from tests.support.policy_rows import DAY, HOUR, START, history, quiet, record

POLICY = PolicySettings()
CALM = [0, 1] * 12
LOUD = quiet(np.log(1e6))


def decided(policy: PolicySettings = POLICY, labelled: int = 1_000, **given: object):
    inputs = {"champion": record(), "due": 1_250.0, "record": history(CALM)} | given
    return decide(DecisionInput(START + DAY, labelled=labelled, **inputs), 1_150, policy)


def test_the_first_model_waits_for_its_rows():
    short, enough = (decided(labelled=n, champion=None, record=None) for n in (1_149, 1_150))
    assert (short.action, short.retrain) == (WAIT, False)
    assert (enough.action, enough.retrain) == (TRAIN_FIRST, True)


def test_a_quiet_night_keeps_the_champion():
    decision = decided()
    assert (decision.action, decision.retrain, decision.rule) == (KEEP, False, "shiryaev_roberts")
    assert decision.reasons == ("no credible fall of accuracy: evidence e^0.0 of e^9.6",)


def test_an_alarm_retrains_and_says_since_when():
    decision = decided(record=history(CALM, detection=LOUD))
    assert (decision.action, decision.rule, decision.confidence) == (
        RETRAIN,
        "shiryaev_roberts",
        POLICY.gate.confidence,
    )
    assert decision.change_at == START + 2 * HOUR
    assert decision.change_between == (START, START + 2 * HOUR)
    assert "most probably since 2024-03-01 02:00" in decision.reasons[0]


def test_the_same_evidence_gives_the_same_decision():
    assert repr(decided(record=history(CALM, detection=LOUD))) == repr(
        decided(record=history(CALM, detection=LOUD))
    )


def test_a_refresh_that_is_due_answers_the_same_change():
    champion = record(2, changed_at=START, reference=1)
    assert decided(labelled=1_249).action == KEEP
    decision = decided(labelled=1_250, champion=champion)
    assert (decision.action, decision.rule, decision.change_at) == (REFRESH, "price", START)
    assert decision.confidence == POLICY.gate.least_confidence
    assert decision.evidence == {"labelled": 1_250.0, "due": 1_250.0}
    assert "1250 labelled rows since the change, 1250 asked for" in decision.reasons[0]


def test_without_a_price_or_an_earlier_training_no_refresh_is_made():
    assert decided(PolicySettings(price=None), labelled=10**6).action == KEEP
    assert decided(labelled=10**6, due=None).action == KEEP


def test_after_a_refused_alarm_the_refresh_is_left():
    loud = history(CALM, detection=LOUD)
    assert decided(record=loud, refused=True).action == KEEP
    assert decided(record=loud, refused=True, labelled=1_300).action == REFRESH


def test_a_rule_that_cannot_date_the_change_borrows_the_most_probable_beginning():
    policy = PolicySettings.model_validate({"rules": [{"rule": "scheduled", "every": "1 day"}]})
    decision = decided(policy)
    assert (decision.action, decision.rule, decision.change_at) == (
        RETRAIN,
        "scheduled",
        START + 2 * HOUR,
    )


def test_a_training_on_fixed_rows_does_not_act_on_the_change():
    settings = {
        "rules": [{"rule": "scheduled", "every": "1 day"}],
        "candidates": {"rows": "newest"},
    }
    decision = decided(PolicySettings.model_validate(settings))
    assert (decision.action, decision.change_at) == (RETRAIN, None)
    assert "most probably since" in decision.reasons[0]


@pytest.mark.parametrize("labelled", [1_000, 1_250])
def test_a_cool_down_is_recorded_with_what_it_held_back(labelled: int):
    policy = PolicySettings(cool_down=dt.timedelta(days=9))
    decision = decided(policy, labelled=labelled, record=history(CALM, detection=LOUD))
    assert (decision.action, decision.rule) == (KEEP, "held_back")
    assert decision.reasons[0].startswith(
        "cooling down: 48 h since the last training; accuracy fell"
    )
    reasons = "; ".join(decision.reasons)
    assert (reasons.count("accuracy fell"), reasons.count("most probably since")) == (1, 1)
    assert decision.change_between == (
        START,
        START + 2 * HOUR,
    )  # lest what is said of the drift says it again


ASKED = TrainingRequest("0a", "shift lead", "the furnace was relined")


def test_a_request_trains_again_though_nothing_else_asks_for_it():
    champion = record(2, changed_at=START, reference=1)
    quiet_night = history(CALM, requests=(ASKED,))
    decision = decided(champion=champion, labelled=1_000, record=quiet_night)
    assert (decision.action, decision.rule) == (REFRESH, REQUESTED)
    assert decision.reasons == (
        "shift lead asked for a training: the furnace was relined (request 0a)",
    )
    assert decision.change_at == START
    assert decision.confidence == POLICY.gate.least_confidence
    assert decision.evidence == {"labelled": 1_000.0, "requests": 1.0}


def test_an_alarms_training_answers_the_requests_too():
    decision = decided(record=history(CALM, detection=LOUD, requests=(ASKED,)))
    assert (decision.action, decision.rule) == (RETRAIN, "shiryaev_roberts")
    assert ASKED.words in decision.reasons


def test_a_request_does_not_wait_for_the_end_of_a_cool_down():
    policy = POLICY.model_copy(update={"cool_down": dt.timedelta(days=30)})
    asked = history(CALM, requests=(ASKED,), trainings=(START,))
    assert decided(policy, record=asked).rule == REQUESTED
    assert decided(policy, record=history(CALM, trainings=(START,))).action == KEEP


def test_a_request_before_the_first_model_waits():
    decision = decided(labelled=10, champion=None, record=None)
    assert (decision.action, decision.retrain) == (WAIT, False)
