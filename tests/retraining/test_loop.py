"""The order of a night, over arrays and a ledger in memory: what is recorded, what is taken up,
what is left out.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from lakehouse.checks.check import Check
from lakehouse.checks.judged_checks import judged_checks
from lakehouse.errors import TrainingError
from lakehouse.retraining import loop
from lakehouse.retraining.loop import LoopContext, Night
from lakehouse.retraining.policy.decide import (
    KEEP,
    REFRESH,
    REQUESTED,
    RETRAIN,
    TRAIN_FIRST,
    Decision,
)
from lakehouse.retraining.policy.gate import GateResult
from lakehouse.retraining.policy.history import DecisionEntry, PromotionEntry, reasons_of
from lakehouse.retraining.policy.triggers import TrainingRequest, unanswered
from lakehouse.retraining.ports import Judged, Trained
from lakehouse.settings import CostSettings, PolicySettings
from lakehouse.simulation.arrays import MemoryLedger, Stream, StreamPredictions, StreamTrainer
from lakehouse.versions.actions import PROMOTE, REFUSE
from tests.support.prices import DAY, FIRST_AFTER, START, TREE, prices

CHANGED_ON = 9
PLANT = prices(14, seed=2, dearer=(CHANGED_ON, 14))


class Trainer(StreamTrainer):
    """Counts what it fits."""

    def __init__(self, stream: Stream, fits: list):
        super().__init__(stream, TREE)
        object.__setattr__(self, "fits", fits)

    @property
    def cost(self) -> Mapping[str, float]:
        return {"training_seconds": 1.5}

    def fit(self, fitted, judged):
        self.fits.append(fitted.candidate.name)
        return super().fit(fitted, judged)


class Ledger(MemoryLedger):
    """Keeps what else is recorded."""

    def __init__(self):
        super().__init__(lambda _: float("nan"))
        self.outages, self.without_challenger, self.diagnoses = [], [], []

    def record_decision(self, as_of, decision, *others):
        self.diagnoses.append(others[0])
        super().record_decision(as_of, decision, *others)

    def record_outage(self, as_of, since):
        self.outages.append((as_of, since))

    def record_no_challenger(self, as_of, reason, evidence):
        self.without_challenger.append((reason, evidence))
        super().record_no_challenger(as_of, reason, evidence)


class Works:
    """The plant under the loop, a night at a time; its trainer and predictions may be others."""

    def __init__(
        self, trainer=Trainer, predictions=StreamPredictions, policy: PolicySettings | None = None
    ):
        self.stream, self.ledger, self.fits = Stream(PLANT.rows), Ledger(), []
        settings = policy or PolicySettings()
        self.context = LoopContext(
            PLANT.rows.problem,
            settings,
            FIRST_AFTER,
            self.ledger,
            partial(predictions, self.stream, settings),
            lambda *_: trainer(self.stream, self.fits),
        )

    def night(self, day: int) -> bool:
        """Whether a model was promoted."""
        as_of = START + day * DAY
        self.stream.score(as_of, self.ledger.history)
        self.stream.take_in(as_of, self.ledger.history)
        return Night(as_of, self.context).run()

    def until(self, day: int) -> "Works":
        for each in range(2, day + 1):
            self.night(each)
        return self

    @property
    def actions(self) -> list[str]:
        return [each.decision.action for each in self.ledger.decisions]


def test_a_first_model_comes_with_enough_labels_and_a_drift_is_answered():
    works = Works().until(CHANGED_ON + 2)
    assert works.actions[:5] == ["wait"] * 4 + [TRAIN_FIRST]
    assert works.actions[-1] == RETRAIN
    assert works.ledger.promotions[-1].action == PROMOTE
    assert works.ledger.diagnoses[-1].kinds == ("concept",)
    assert works.ledger.diagnoses[-1].where[0].startswith("hours above")
    result = works.ledger.events[-1].result
    assert result.evidence["training_seconds"] == 1.5
    everywhere, *regions = result.differences
    assert everywhere.rows == result.evidence["rows"]
    assert everywhere.for_challenger > everywhere.for_champion
    assert regions[0].region is not None and regions[0].region.startswith("hours above")


def failing(demanded):
    """A trainer whose models fail a test."""

    class Failing(Trainer):
        def fit(self, fitted, judged):
            check = Check("owner", False, "`owner` is empty", demanded=demanded)
            return replace(super().fit(fitted, judged), checks=(check,))

    return Failing


def test_a_challenger_that_fails_a_demanded_test_is_refused_with_the_gates_figures():
    works = Works(failing(demanded=True)).until(6)
    result = works.ledger.events[-1].result
    assert works.ledger.promotions[-1].action == REFUSE
    assert "margin" in result.reason
    assert result.reason.endswith("demands: owner: `owner` is empty")
    assert result.evidence["training_seconds"] == 1.5


def test_a_test_that_nobody_demands_is_on_record_and_refuses_nothing():
    works = Works(failing(demanded=False)).until(CHANGED_ON + 2)
    assert works.actions == Works().until(CHANGED_ON + 2).actions
    for event in works.ledger.events:
        assert [check.name for check in event.result.checks] == ["owner", "worst_slice", "cost"]


def test_the_tests_of_a_challenger_know_the_costs_and_the_champions_calls(monkeypatch):
    cell = {"label": 0, "predicted": 1, "cost": 4.0}
    costs, asked = CostSettings.model_validate({"cells": [cell]}), []

    def noted(rows, settings, given):
        asked.append((rows.champion is not None, given))
        return judged_checks(rows, settings, given)

    monkeypatch.setattr(loop, "judged_checks", noted)
    works = Works()
    works.context = replace(works.context, costs=costs)
    works.until(CHANGED_ON + 2)
    assert {given for _, given in asked} == {costs}
    assert [has_champion for has_champion, _ in asked][:2] == [False, True]


def test_a_second_look_at_the_same_labels_does_nothing():
    works = Works().until(CHANGED_ON + 2)
    before = (list(works.ledger.decisions), list(works.ledger.promotions), len(works.fits))
    assert not Night(START + (CHANGED_ON + 2) * DAY, works.context).run()
    assert (works.ledger.decisions, works.ledger.promotions, len(works.fits)) == before


def test_a_night_that_was_cut_off_after_its_decision_goes_on_with_it():
    whole, cut = Works().until(CHANGED_ON + 2), Works().until(CHANGED_ON + 1)
    as_of = START + (CHANGED_ON + 2) * DAY
    cut.stream.score(as_of, cut.ledger.history)
    cut.stream.take_in(as_of, cut.ledger.history)
    cut.ledger.record_decision(as_of, whole.ledger.decisions[-1].decision, None)
    assert Night(as_of, cut.context).run()
    assert cut.actions == whole.actions
    assert repr(cut.ledger.events[-1]) == repr(whole.ledger.events[-1])


def test_what_was_registered_before_a_run_was_cut_off_is_taken_up_and_nothing_is_trained():
    whole, was_cut_off = Works().until(CHANGED_ON + 2), []
    last = whole.ledger.promotions[-1]
    registered = Judged(last.version, whole.ledger.events[-1].result, last.record)

    class Registered(Trainer):
        def registered_before(self):
            return registered if was_cut_off else None

    cut = Works(Registered).until(CHANGED_ON + 1)
    cut.stream.models[last.version] = whole.stream.models[last.version]
    was_cut_off.append(True)
    fits = len(cut.fits)
    assert cut.night(CHANGED_ON + 2)
    assert len(cut.fits) == fits
    assert cut.ledger.promotions[-1].version == last.version


class Worse(Trainer):
    """From the change on its challengers may not take over."""

    def fit(self, fitted, judged):
        trained = super().fit(fitted, judged)
        flawed = self.stream.known.sum() >= FIRST_AFTER + 1_000
        return replace(trained, flaw="its output is not a finite number") if flawed else trained


def test_after_a_refused_alarm_what_is_left_of_the_night_is_the_refresh():
    works = Works(Worse, policy=PolicySettings(price=0.01)).until(CHANGED_ON + 2)
    assert works.actions[-2:] == [RETRAIN, REFRESH]
    assert [entry.action for entry in works.ledger.promotions[-2:]] == [REFUSE, REFUSE]
    result = works.ledger.events[-1].result
    assert result.reason == "the challenger may not take over: its output is not a finite number"
    assert not Night(START + (CHANGED_ON + 2) * DAY, works.context).run()
    assert works.actions[-2:] == [RETRAIN, REFRESH]


def test_a_refused_alarm_is_quiet_until_its_evidence_is_ten_times_as_strong():
    works = Works(Worse, policy=PolicySettings(price=None)).until(CHANGED_ON + 2)
    assert (
        works.ledger.history.refused.log_statistic
        == works.ledger.decisions[-1].decision.evidence["log_statistic"]
        > 0
    )


class Refusing(Trainer):
    def fit(self, *_):
        raise TrainingError("training.families: no")


class Choosy(Trainer):
    def cross_fit(self, candidates, judged):
        return [None for _ in candidates]


@pytest.mark.parametrize(
    ("trainer", "reason"),
    [
        (Refusing, "training.families: no"),
        (Choosy, "too few rows of different labels to compare models on"),
    ],
)
def test_a_training_without_a_challenger_is_on_record_with_its_reason_and_cost(trainer, reason):
    works = Works(trainer).until(8)
    assert works.ledger.without_challenger[0] == (reason, {"training_seconds": 1.5})
    assert works.ledger.history.champion is None
    assert works.actions[-1] == TRAIN_FIRST  # it is asked for again with the next labels


class Overdue(StreamPredictions):
    def without_labels_since(self):
        return START


def test_labels_that_are_overdue_are_recorded_once_there_is_a_champion():
    works = Works(predictions=Overdue).until(9)
    first = next(entry.as_of for entry in works.ledger.promotions if entry.action == PROMOTE)
    assert works.ledger.outages[0] == (first + DAY, START)


def test_a_champion_of_an_older_release_is_trained_again_on_the_rows_since_its_change():
    works, since = Works().until(8), START + 4 * DAY
    [first] = [
        entry for entry in works.ledger.promotions if entry.version == works.ledger.history.champion
    ]
    works.ledger.promotions[:] = [
        PromotionEntry(first.as_of, PROMOTE, version=first.version, changed_at=since)
    ]
    as_of = START + 9 * DAY
    works.stream.take_in(as_of, works.ledger.history)
    works.ledger._history = None
    Night(as_of, works.context).run()
    decision = works.ledger.decisions[-1].decision
    assert (decision.action, decision.rule, decision.change_at) == (REFRESH, "no_record", since)
    assert decision.confidence == pytest.approx(0.01)
    assert works.fits[-1] == "since_change"
    assert works.ledger.promotions[-1].action == PROMOTE


class OnlyArchived(Trainer):
    """Of the candidates of an alarm, the archived version alone can be compared, where there is
    one.
    """

    def cross_fit(self, candidates, judged):
        found = super().cross_fit(candidates, judged)
        archived = [each if each and each.candidate.version is not None else None for each in found]
        return archived if any(archived) else found


def test_an_archived_champion_comes_back_by_its_version_without_a_training():
    works = Works(OnlyArchived).until(CHANGED_ON + 2)
    champion, fits = works.ledger.history.champion, len(works.fits)
    [archived] = works.ledger.history.archive
    as_of, change = START + (CHANGED_ON + 3) * DAY, START + CHANGED_ON * DAY
    works.stream.take_in(as_of, works.ledger.history)
    back = Decision(RETRAIN, "a rule", ("it is back",), change_at=change, confidence=0.0)
    works.ledger.record_decision(as_of, back, None)
    assert Night(as_of, works.context).run()
    state = works.ledger.history
    assert (state.champion, state.before, len(works.fits)) == (archived, champion, fits)
    assert (state.champion_record.drift_period, state.champion_record.reference) == (
        as_of,
        archived,
    )
    assert list(state.archive) == [archived, champion]
    assert state.archive[champion].end == change


class Waiting(Ledger):
    def held(self, decision):
        return (
            replace(decision, action=KEEP, rule="approval")
            if decision.action == RETRAIN
            else decision
        )


def test_a_decision_that_is_held_trains_nothing_but_its_diagnosis_is_recorded():
    works = Works()
    works.ledger = Waiting()
    works.context = replace(works.context, ledger=works.ledger)
    works.until(CHANGED_ON + 2)
    assert (works.actions[-1], works.ledger.decisions[-1].decision.rule) == (KEEP, "approval")
    assert works.ledger.diagnoses[-1].where
    assert works.ledger.promotions[-1].as_of < START + (CHANGED_ON + 2) * DAY


def test_entries_are_plain_values():
    assert DecisionEntry(START, Decision(KEEP, "", ())) == DecisionEntry(
        START, Decision(KEEP, "", ())
    )
    assert Trained(None, np.ones(1)).flaw is None
    assert GateResult(True, "").evidence == {}


ASKED = TrainingRequest("0a", "shift lead", "the furnace was relined")


def test_a_request_is_answered_by_the_next_night_and_by_no_later_one():
    works, first = Works().until(6), 6
    assert works.actions[-1] == TRAIN_FIRST
    works.context = replace(works.context, requests=(ASKED,))
    works.night(first + 1)
    (asked,) = [entry for entry in works.ledger.decisions if entry.decision.rule == REQUESTED]
    assert asked.as_of == START + (first + 1) * DAY
    assert ASKED.words in asked.decision.reasons
    fits = len(works.fits)
    assert fits == 2
    works.night(first + 1)
    works.night(first + 2)
    rules = [entry.decision.rule for entry in works.ledger.decisions]
    assert rules.count(REQUESTED) == 1


def test_a_request_that_is_held_for_a_person_stays_unanswered():
    held = replace(Decision(REFRESH, REQUESTED, (ASKED.words,)), action=KEEP)
    entries = [DecisionEntry(START, held)]
    assert unanswered([ASKED], reasons_of(entries)) == [ASKED]
    answered = [DecisionEntry(START, Decision(REFRESH, REQUESTED, (ASKED.words,)))]
    assert unanswered([ASKED], reasons_of(answered)) == []
