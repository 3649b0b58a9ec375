"""Which version answers: the ledger's champion, once its file is the one that was promoted."""

import hashlib
import logging
import pickle

import pytest

from lakehouse.models import Meaning, dump
from lakehouse.serving.champions import Champions
from lakehouse.settings import EnvironmentSettings
from tests.support.served import FEATURES, MODEL, START, Works, fitted, settings_of


@pytest.fixture
def works(tmp_path):
    return Works(tmp_path)


@pytest.fixture
def champions(works):
    return Champions(str(works.root), MODEL, EnvironmentSettings(root=str(works.root)))


def prediction(champions):
    (answer,) = champions.current.answers([FEATURES])
    return answer.prediction


def test_before_the_first_promotion_no_version_answers(champions):
    champions.look()
    assert champions.arms is None
    assert champions.refusal.reason == "glassware has no champion yet"


def test_the_champion_answers_and_the_next_one_takes_over_at_a_look(works, champions):
    works.promote(1, fitted(threshold=355))
    champions.look()
    assert (champions.current.number, prediction(champions), champions.swaps) == ("1", 1, 0)
    works.promote(2, fitted(threshold=351), from_version="1")
    assert prediction(champions) == 1
    champions.look()
    assert (champions.current.number, prediction(champions), champions.swaps) == ("2", 0, 1)
    assert champions.refusal is None


def test_a_rollback_brings_the_version_before_back(works, champions):
    works.promote(1, fitted())
    works.promote(2, fitted(threshold=351))
    row = {"as_of": START, "action": "rollback", "from_version": "2", "to_version": "1"}
    works.write({**row, "recorded_at": START.replace(year=2025), "who": "somebody"})
    champions.look()
    assert champions.current.number == "1"


def test_a_version_that_waits_or_was_refused_does_not_answer(works, champions):
    works.promote(1, fitted())
    works.promote(2, fitted(threshold=351), action="pending")
    works.promote(3, fitted(threshold=351), action="refuse")
    champions.look()
    assert (champions.current.number, champions.refusal) == ("1", None)


def damaged(content):
    return content[:-1] + bytes([content[-1] ^ 1])


def another(_):
    return dump(fitted(threshold=353))


def a_pickle(_):
    return pickle.dumps(fitted())


@pytest.mark.parametrize("change", [damaged, another, a_pickle])
def test_a_file_that_is_not_the_promoted_one_is_refused_and_the_version_before_goes_on(
    works, champions, change, caplog
):
    works.promote(1, fitted())
    champions.look()
    path = works.promote(2, fitted(threshold=351))
    content = path.read_bytes()
    path.write_bytes(change(content))
    with caplog.at_level(logging.WARNING):
        champions.look()
        champions.look()
    assert (champions.current.number, prediction(champions)) == ("1", 1)
    assert champions.refusal.version == "2"
    assert "SHA-256" in champions.refusal.reason
    assert len(caplog.records) == 1  # the same refusal is told once
    path.write_bytes(content)
    champions.look()
    assert (champions.current.number, champions.refusal) == ("2", None)


def test_a_version_that_was_never_promoted_is_refused(works, champions):
    works.promote(1, fitted())
    champions.look()
    works.promote(2, fitted(threshold=351), action="rollback")
    champions.look()
    assert (champions.current.number, champions.refusal.version) == ("1", "2")
    assert "never promoted" in champions.refusal.reason


def test_a_digest_that_the_ledger_does_not_know_is_refused_though_the_file_is_whole(
    works, champions
):
    works.promote(1, fitted(), model_sha256="0" * 64)
    champions.look()
    assert champions.current is None
    assert champions.refusal.version == "1"


def test_a_pickle_is_refused_though_the_ledger_knows_its_digest(works, champions):
    content = pickle.dumps(fitted())
    path = works.promote(1, fitted(), model_sha256=hashlib.sha256(content).hexdigest())
    path.write_bytes(content)
    champions.look()
    assert champions.current is None
    assert "pickle" in champions.refusal.reason


def test_a_file_that_is_gone_is_refused_and_taken_when_it_is_back(works, champions):
    path = works.promote(1, fitted())
    content = path.read_bytes()
    path.unlink()
    champions.look()
    assert champions.current is None
    path.write_bytes(content)
    champions.look()
    assert champions.current.number == "1"


def test_a_version_of_other_columns_than_its_record_says_is_refused(works, champions):
    document = Meaning.of(MODEL).to_json().replace('"duration", ', "").replace(', "duration"]', "]")
    works.promote(1, fitted(), meaning=document)
    champions.look()
    assert champions.current is None
    assert "it reads" in champions.refusal.reason


def test_the_same_version_promoted_again_with_another_file_takes_over(works, champions):
    works.promote(1, fitted())
    champions.look()
    works.promote(1, fitted(threshold=351))
    champions.look()
    assert (champions.current.number, prediction(champions)) == ("1", 0)


def test_a_ledger_that_cannot_be_read_leaves_the_version_that_answers(works, champions):
    works.promote(1, fitted())
    champions.look()
    log = next((works.root / "gold/promotion/_delta_log").glob("*1.json"))
    text = log.read_text()
    log.write_text("{")
    champions.look()
    assert champions.current.number == "1"
    log.write_text(text)
    champions.look()
    assert champions.refusal is None


def test_a_look_at_an_unchanged_ledger_loads_nothing(works, champions, monkeypatch):
    works.promote(1, fitted())
    champions.look()
    version = champions.current
    monkeypatch.setattr(Champions, "_loaded", lambda *_: pytest.fail("it was loaded again"))
    champions.look()
    works.promote(2, fitted(), action="refuse")
    champions.look()
    assert champions.current is version


def test_a_version_of_classes_does_not_answer_for_settings_of_numbers(works):
    works.promote(1, fitted())
    champions = Champions(
        str(works.root), settings_of("numbers"), EnvironmentSettings(root=str(works.root))
    )
    champions.look()
    assert champions.current is None
    assert "another problem type" in champions.refusal.reason
