"""Candidates are compared by what they would have predicted with the labels of the time."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from lakehouse.retraining.policy.candidates import choice
from lakehouse.retraining.policy.candidates.choice import Candidate
from lakehouse.retraining.policy.candidates.forward import forward_choice
from lakehouse.retraining.policy.records import RowRule, Rows, Segment
from tests.support.policy_rows import DAY, START, rows
from tests.support.trees import fit_tree

A_DAY = 144
DAYS = 40
EVERYTHING = Candidate("everything")
LAST_WEEK = Candidate("last 7 days", span=7 * DAY)
LAST_DAYS = Candidate("last 3 days", span=3 * DAY)
WINDOWS = (EVERYTHING, LAST_WEEK, LAST_DAYS)


def stream(seed: int, changed_on: int = DAYS, noise: float = 0.05) -> Rows:
    """A label that says whether a value is above a limit, which an abrupt change moves."""
    random = np.random.default_rng(seed)
    values = random.uniform(0, 10, (DAYS * A_DAY, 2))
    limit = np.where(np.arange(len(values)) < changed_on * A_DAY, 3.0, 7.0)
    flipped = random.random(len(values)) < noise
    return rows(values, (values[:, 0] > limit) ^ flipped)


def chosen(given: Rows, *candidates: Candidate, judged: np.ndarray | None = None) -> str | None:
    everything = np.ones(len(given), dtype=bool)
    found = forward_choice(
        candidates, given, everything if judged is None else judged, {}, fit_tree
    )
    return None if found is None else found.name


@pytest.mark.parametrize("seed", range(5))
def test_all_rows_are_taken_on_a_stable_stream(seed: int):
    assert chosen(stream(seed), *WINDOWS) == "everything"


@pytest.mark.parametrize("seed", range(3))
def test_new_rows_alone_are_taken_after_an_abrupt_change(seed: int):
    changed = stream(seed, changed_on=20)
    new = Candidate("since_change", start=START + 20 * DAY)
    assert chosen(changed, *WINDOWS) != "everything"
    assert chosen(changed, EVERYTHING, new) == "since_change"


def test_a_change_too_new_to_have_labels_says_nothing_for_new_rows():
    assert chosen(stream(0, changed_on=DAYS - 1), *WINDOWS) == "everything"


@dataclass
class Watched:
    """A learner that knows what each model has seen; rows are told by their place."""

    given: Rows
    seen: np.ndarray
    blocks: int = 0

    def __call__(self, features: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> "Watched":
        return replace(self, seen=features[:, 1].astype(int))

    def predict(self, features: np.ndarray) -> np.ndarray:
        block = features[:, 1].astype(int)
        assert self.given.label_time[self.seen].max() <= self.given.event_time[block].min()
        PREDICTED.extend(block)
        return np.zeros(len(block), dtype=int)


PREDICTED: list[int] = []


def test_no_block_is_predicted_by_a_model_that_has_seen_a_label_which_had_not_come(
    monkeypatch: pytest.MonkeyPatch,
):
    given, PREDICTED[:] = stream(0), []
    features = np.column_stack([given.features[:, 0], np.arange(len(given))])
    given = replace(given, features=features)
    contradicting = []
    watched = lambda new, _: contradicting.append(new.label_time.max()) or ()  # noqa: E731
    monkeypatch.setattr(choice, "contradicted", watched)
    transfer = Candidate(
        "transfer", RowRule((Segment(None, START + 10 * DAY),)), 1, START + 10 * DAY
    )
    candidates = (*WINDOWS, transfer)
    learner, all_rows = Watched(given, np.empty(0, int)), np.ones(len(given), bool)
    forward_choice(candidates, given, all_rows, {1: given.labels}, learner)
    starts = [first for first in np.unique(PREDICTED) if first - 1 not in PREDICTED]
    assert len(PREDICTED) == len(candidates) * len(set(PREDICTED)) > 0
    assert max(PREDICTED) == len(given) - 1
    assert max(contradicting) <= given.event_time[-A_DAY]
    assert given.event_time[starts[0]] >= START + (DAYS // 2 + 2) * DAY  # half of all have a label


def test_labels_that_come_in_one_batch_cannot_tell():
    given = stream(0)
    late = replace(given, label_time=np.full(len(given), START + (DAYS + 2) * DAY))
    assert chosen(late, *WINDOWS) is None


def test_labels_of_less_than_half_of_the_rows_cannot_tell():
    given = stream(0)
    batch = np.where(np.arange(len(given)) < 0.45 * len(given), 18, DAYS + 2)
    assert chosen(replace(given, label_time=START + batch * DAY), *WINDOWS) is None
    enough = np.where(np.arange(len(given)) < 0.55 * len(given), 22, DAYS + 2)
    assert chosen(replace(given, label_time=START + enough * DAY), *WINDOWS) is not None


def test_rows_since_a_change_of_the_day_before_yesterday_cannot_tell():
    given = stream(0, changed_on=DAYS - 3)
    judged = given.event_time >= START + (DAYS - 3) * DAY
    assert chosen(given, *WINDOWS, judged=judged) is None


def test_a_candidate_without_two_kinds_of_labels_is_left_out():
    given = stream(0)
    none_yet = Candidate("new rows", start=given.event_time[-1])
    assert chosen(given, none_yet, EVERYTHING) == "everything"
    assert chosen(given, none_yet) is None
