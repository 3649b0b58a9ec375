"""Which version answers a row while a rollout runs: the one that the stream would take, or the
champion, whatever the challenger does.
"""

import asyncio
import json
import logging
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest

from lakehouse.rollouts.arms import answers, duckdb_sql
from lakehouse.serving.answers import Answer, ServedVersion
from lakehouse.serving.champions import Champions
from lakehouse.serving.replies import as_tensors
from lakehouse.settings import EnvironmentSettings
from tests.support.served import FEATURES, MODEL, READING, ROLLOUT, Works, fitted

KEYS = range(100_000, 105_000)
SHARES = (0.05, 0.25, 0.5)
CHAMPION, CHALLENGER = 1, 0
"""What each says of the row that all tests ask about: both are told apart by it."""


@pytest.fixture
def works(tmp_path: Path) -> Works:
    works = Works(tmp_path)
    works.promote(1, fitted(threshold=355))
    return works


@pytest.fixture
def champions(works: Works) -> Champions:
    return Champions(str(works.root), MODEL, EnvironmentSettings(root=str(works.root)))


def readings(keys) -> list[dict]:
    return [{**READING, "pid": key} for key in keys]


def rows_by_challenger(champions: Champions, keys=KEYS) -> list[int]:
    """The keys that the challenger answers."""
    answered = champions.arms.answers(readings(keys), list(keys))
    assert [each.prediction for each in answered.answers] == [
        CHALLENGER if each.version == "2" else CHAMPION for each in answered.answers
    ]
    return [key for key, each in zip(keys, answered.answers, strict=True) if each.version == "2"]


def in_arm(share: float, keys=KEYS) -> list[int]:
    return [key for key in keys if answers(ROLLOUT, key, share)]


def test_each_key_has_the_arm_that_sql_and_the_stream_give_it(works, champions):
    works.roll_out(2, fitted(threshold=351), 0.25)
    champions.look()
    first, last = KEYS[0], KEYS[-1]
    where = duckdb_sql(ROLLOUT, "pid", 0.25)
    query = f"SELECT pid FROM range({first}, {last + 1}) AS t(pid) WHERE {where}"
    assert rows_by_challenger(champions) == [pid for (pid,) in duckdb.sql(query).fetchall()]


def test_the_steps_of_the_share_are_followed_and_who_is_in_stays_in(works, champions):
    works.roll_out(2, fitted(threshold=351), SHARES[0])
    found = []
    for share in SHARES:
        if share > SHARES[0]:
            works.step("step", share)
        champions.look()
        found.append(rows_by_challenger(champions))
        assert found[-1] == in_arm(share)
    assert set(found[0]) < set(found[1]) < set(found[2])


def test_rows_without_a_key_go_to_the_champion(works, champions):
    works.roll_out(2, fitted(threshold=351), 0.999)
    champions.look()
    answered = champions.arms.answers([FEATURES] * 50, [None] * 50)
    assert {each.version for each in answered.answers} == {"1"}


def test_an_abort_brings_all_rows_back_and_holds_leave_the_share(works, champions):
    works.roll_out(2, fitted(threshold=351), 0.5)
    works.step("hold", 0.5)
    champions.look()
    assert rows_by_challenger(champions) == in_arm(0.5)
    works.step("abort", 0.0)
    champions.look()
    assert rows_by_challenger(champions) == []
    assert champions.arms.rollout is None


def test_a_shadow_answers_nothing_and_is_not_loaded(works, champions, monkeypatch):
    champions.look()
    monkeypatch.setattr(Champions, "_loaded", lambda *_: pytest.fail("it was loaded"))
    works.roll_out(2, fitted(threshold=351), 0.0, strategy="shadow")
    champions.look()
    assert rows_by_challenger(champions) == []
    assert champions.challenger_refusal is None


def test_a_challenger_that_finishes_takes_over_and_is_not_loaded_again(
    works, champions, monkeypatch
):
    works.roll_out(2, fitted(threshold=351), 0.5)
    champions.look()
    challenger = champions.arms.challenger
    monkeypatch.setattr(Champions, "_loaded", lambda *_: pytest.fail("it was loaded again"))
    works.step("finish", 0.0)
    champions.look()
    assert rows_by_challenger(champions) == []  # as in the stream, until the promotion is written
    works.promote(2, fitted(threshold=351), from_version="1")
    champions.look()
    assert (champions.current, champions.swaps) == (challenger, 1)
    assert rows_by_challenger(champions) == list(KEYS)


def test_a_rollout_against_another_champion_splits_no_keys(works, champions):
    works.roll_out(2, fitted(threshold=351), 0.5)
    works.promote(3, fitted(threshold=355), from_version="1")
    champions.look()
    answered = champions.arms.answers(readings(KEYS), list(KEYS))
    assert {each.version for each in answered.answers} == {"3"}


def test_a_champion_that_is_refused_ends_the_split_and_the_version_before_answers(works, champions):
    works.roll_out(2, fitted(threshold=351), 0.5)
    champions.look()
    works.promote(3, fitted(threshold=355), from_version="1", model_sha256="0" * 64)
    champions.look()
    assert champions.refusal.version == "3"
    assert rows_by_challenger(champions) == []


def damaged(works: Works) -> None:
    path = works.file_of(2)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def gone(works: Works) -> None:
    works.file_of(2).unlink()


def of_another_digest_in_the_rollout(works: Works) -> None:
    works.step("abort", 0.0)
    works.step("start", 0.5, rollout_id="glassware-2-2", challenger_sha256="0" * 64)


def unreadable_rollouts(works: Works) -> None:
    log = works.root / "gold/rollout/_delta_log"
    next(log.glob("*1.json")).write_text("{")


UNREADABLE = {
    damaged: "SHA-256",
    gone: "is not there",
    of_another_digest_in_the_rollout: "another SHA-256",
    unreadable_rollouts: "rollout",
}


@pytest.mark.parametrize("harm", UNREADABLE, ids=lambda harm: harm.__name__)
def test_a_challenger_that_cannot_be_loaded_leaves_its_rows_to_the_champion(
    works, champions, harm, caplog
):
    works.roll_out(2, fitted(threshold=351), 0.5)
    harm(works)
    with caplog.at_level(logging.WARNING):
        champions.look()
        champions.look()
    assert rows_by_challenger(champions) == []
    assert (champions.current.number, champions.refusal) == ("1", None)
    assert UNREADABLE[harm] in champions.challenger_refusal.reason
    assert len(caplog.records) == 1  # the same refusal is told once


def test_a_challenger_whose_file_is_back_takes_its_rows_at_the_next_look(works, champions):
    path = works.roll_out(2, fitted(threshold=351), 0.5)
    content = path.read_bytes()
    path.unlink()
    champions.look()
    answered = champions.arms.answers(readings(KEYS), list(KEYS))
    assert answered.errors == {"not loaded": len(in_arm(0.5))}
    path.write_bytes(content)
    champions.look()
    assert rows_by_challenger(champions) == in_arm(0.5)
    assert champions.challenger_refusal is None


def test_a_challenger_that_was_never_admitted_is_refused(works, champions):
    path = works.promote(2, fitted(threshold=351), action="pending")
    works.step("start", 0.5, challenger="2", challenger_sha256="x")
    assert path.exists()
    champions.look()
    assert "never promoted" in champions.challenger_refusal.reason
    assert rows_by_challenger(champions) == []


class Raising:
    """A challenger that raises, or has no finite answer, on rows of a temperature."""

    def __init__(self, version: ServedVersion, is_raising: bool) -> None:
        self._version, self._is_raising = version, is_raising
        self.number, self.class_names = version.number, version.class_names

    def needs_a_frame(self, rows: int) -> bool:
        return self._version.needs_a_frame(rows)

    def answers(self, rows):
        is_bad = [row["temp"] == 352.0 for row in rows]
        if self._is_raising and any(is_bad):
            raise ValueError("could not convert 352.0")
        good = self._version.answers(rows)
        return [
            Answer(self.number) if bad else each for bad, each in zip(is_bad, good, strict=True)
        ]


@pytest.mark.parametrize(
    ("is_raising", "error", "left"), [(True, "ValueError", 10), (False, "not finite", 3)]
)
def test_a_challenger_without_an_answer_leaves_its_rows_to_the_champion(
    works, champions, is_raising, error, left
):
    works.roll_out(2, fitted(threshold=351), 0.5)
    champions.look()
    arms = champions.arms
    broken = replace(arms, challenger=Raising(arms.challenger, is_raising))
    mine = in_arm(0.5)[:10]
    rows = [
        {**row, "temp": 352.0 if n < 3 else row["temp"]} for n, row in enumerate(readings(mine))
    ]
    answered = broken.answers(rows, mine)
    assert answered.errors == {error: left}
    assert [each.version for each in answered.answers] == ["1"] * left + ["2"] * (10 - left)
    assert None not in [each.prediction for each in answered.answers]


def test_a_challenger_that_raises_while_it_is_warmed_is_refused(works, champions, monkeypatch):
    champions.look()
    works.roll_out(2, fitted(threshold=351), 0.5)
    monkeypatch.setattr(ServedVersion, "answers", lambda *_: 1 / 0)
    champions.look()
    assert "ZeroDivisionError" in champions.challenger_refusal.reason
    assert champions.arms.challenger is None


def test_rows_of_two_arms_in_one_request_are_answered_in_order_and_each_names_its_version(works):
    works.roll_out(2, fitted(threshold=351), 0.5)
    keys = list(KEYS[:30])
    expected = ["2" if answers(ROLLOUT, key, 0.5) else "1" for key in keys]
    said = [CHALLENGER if version == "2" else CHAMPION for version in expected]
    with works.client() as client:
        for part in (slice(0, 30), slice(0, 8)):  # by frame, and by row
            reply = client.post("/invocations", {"dataframe_records": readings(keys[part])})
            document = reply.document
            assert document["model_versions"] == expected[part]
            assert document["predictions"] == said[part]
            assert document["model_version"] is None
            both = list(dict.fromkeys(expected[part]))
            assert reply.headers["x-model-version"] == ", ".join(both)
    served = {line["pid"]: line["_served"] for line in works.landed()}
    assert [served[key]["version"] for key in keys] == expected
    assert [served[key]["prediction"] for key in keys] == said


def test_a_request_of_one_arm_has_one_version_in_the_field_and_the_header(works):
    works.roll_out(2, fitted(threshold=351), 0.5)
    with works.client() as client:
        for version, is_in in (("2", True), ("1", False)):
            key = next(key for key in KEYS if answers(ROLLOUT, key, 0.5) == is_in)
            reply = client.post("/invocations", {"dataframe_records": readings([key])})
            assert reply.document["model_version"] == version
            assert reply.document["model_versions"] == [version]
            assert reply.headers["x-model-version"] == version


def tensors(keys) -> dict:
    columns = {name: [row[name] for row in readings(keys)] for name in READING}
    types = dict.fromkeys(FEATURES, "FP64") | {"pid": "INT64", "process_time": "BYTES"}
    inputs = [
        {"name": name, "shape": [len(keys)], "datatype": types[name], "data": column}
        for name, column in columns.items()
    ]
    return {"inputs": inputs}


def test_v2_has_a_tensor_of_versions_and_a_path_with_a_version_asks_the_champion_alone(works):
    works.roll_out(2, fitted(threshold=351), 0.5)
    keys = list(KEYS[:10])
    with works.client() as client:
        document = client.post("/v2/models/glassware/infer", tensors(keys)).document
        assert "model_version" not in document
        outputs = {each["name"]: each for each in document["outputs"]}
        expected = ["2" if answers(ROLLOUT, key, 0.5) else "1" for key in keys]
        assert outputs["model_version"]["data"] == expected
        assert outputs["model_version"]["datatype"] == "BYTES"
        pinned = "/v2/models/glassware/versions/{}/infer"
        document = client.post(pinned.format(1), tensors(keys)).document
        assert document["model_version"] == "1"
        assert document["outputs"][0]["data"] == [CHAMPION] * 10
        assert client.post(pinned.format(2), tensors(keys)).status == 404
        assert client.get("/v2/models/glassware").document["versions"] == ["1"]


def test_ready_and_metrics_tell_of_the_rollout_and_of_rows_left_to_the_champion(works):
    path = works.roll_out(2, fitted(threshold=351), 0.25)
    content = path.read_bytes()
    path.unlink()
    mine = in_arm(0.25)[:3]
    with works.client() as client:
        reply = client.post("/invocations", {"dataframe_records": readings(mine)})
        assert reply.document["model_version"] == "1"
        ready = client.get("/v2/health/ready").document
        assert (ready["ready"], ready["refused"], ready["challenger_refused"]) == (
            True,
            False,
            True,
        )
        rollout = {"id": ROLLOUT, "challenger": "2", "share": 0.25, "rows_left_to_champion": 3}
        assert ready["rollout"] == rollout
        told = client.get("/v2/models/glassware").document["parameters"]["challenger_refused"]
        assert "is not there" in told["reason"]
        text = client.get("/metrics").content.decode()
        labels = 'error="not loaded",model="glassware",version="2"'
        assert f"lakehouse_serve_challenger_errors_total{{{labels}}} 3.0" in text
        assert 'lakehouse_serve_challenger_refused{model="glassware"} 1.0' in text
        assert 'lakehouse_serve_challenger_share{model="glassware"} 0.25' in text
        path.write_bytes(content)
        client.until("/v2/health/ready", lambda reply: not reply.document["challenger_refused"])
        client.post("/invocations", {"dataframe_records": readings(mine)})
        text = client.get("/metrics").content.decode()
        assert 'lakehouse_serve_answers_total{model="glassware",version="2"} 3.0' in text
        assert 'arm="challenger",model="glassware"' in text


def test_steps_an_abort_and_a_finish_are_followed_while_requests_come_and_none_is_dropped(works):
    seen, ended = [], threading.Event()
    keys = list(KEYS[:16])

    def by_challenger(share: float) -> tuple:
        return tuple("2" if answers(ROLLOUT, key, share) else "1" for key in keys)

    def asks(client):
        while not ended.is_set():
            reply = client.post("/invocations", {"dataframe_records": readings(keys)})
            seen.append((reply.status, tuple(reply.document.get("model_versions", ()))))

    with works.client() as client:
        asking = threading.Thread(target=asks, args=(client,))
        asking.start()
        works.roll_out(2, fitted(threshold=351), 0.25)
        for share in (0.25, 0.5):
            if share > 0.25:
                works.step("step", share)
            client.until(
                "/v2/health/ready",
                lambda reply, share=share: (reply.document["rollout"] or {}).get("share") == share,
            )
        works.step("finish", 0.0)
        works.promote(2, fitted(threshold=351), from_version="1")
        client.until("/v2/health/ready", lambda reply: reply.document["version"] == "2")
        client.post("/invocations", {"dataframe_records": readings(keys)})
        ended.set()
        asking.join()
    allowed = {by_challenger(0.0), by_challenger(0.25), by_challenger(0.5), ("2",) * 16}
    assert {status for status, _ in seen} == {200}
    assert {versions for _, versions in seen} <= allowed


def test_a_request_that_has_begun_finishes_with_the_versions_that_it_took(works, monkeypatch):
    works.roll_out(2, fitted(threshold=351), 0.5)
    keys = list(KEYS[:40])
    with works.endpoint(poll=1e9) as endpoint:
        champions = endpoint.predictor.champions

        async def after_an_abort(call, *given):
            works.step("abort", 0.0)
            champions.look()
            return call(*given)

        monkeypatch.setattr(asyncio, "to_thread", after_an_abort)
        predicted = asyncio.run(endpoint.predictor.predict(readings(keys)))
    assert [each.version for each in predicted.answers] == [
        "2" if answers(ROLLOUT, key, 0.5) else "1" for key in keys
    ]
    assert champions.arms.rollout is None


def test_a_lakehouse_of_a_release_without_rollouts_is_served(tmp_path):
    works = Works(tmp_path)
    works.promote(1, fitted())
    shutil.rmtree(tmp_path / "gold/rollout")
    champions = Champions(str(tmp_path), MODEL, EnvironmentSettings(root=str(tmp_path)))
    champions.look()
    assert (champions.current.number, champions.challenger_refusal) == ("1", None)


def test_the_reason_of_a_refused_challenger_is_told_only_to_who_has_the_token(works):
    gone_file = works.roll_out(2, fitted(threshold=351), 0.25)
    gone_file.unlink()
    with works.client() as client:
        ready = json.dumps(client.get("/v2/health/ready").document)
    assert str(works.root) not in ready


def test_probabilities_of_two_versions_with_other_classes_fill_one_tensor():
    given = [
        Answer("1", 1, 0.75, {"0": 0.25, "1": 0.75}),
        Answer("2", 1, 0.5, {"0": 0.125, "1": 0.5, "2": 0.375}),
        Answer("1"),
    ]
    versions = [
        SimpleNamespace(class_names=["0", "1"]),
        SimpleNamespace(class_names=["0", "1", "2"]),
    ]
    document = as_tensors(given, MODEL, versions, ["probability"], None)
    (tensor,) = document["outputs"]
    assert tensor["shape"] == [3, 3]
    assert tensor["data"] == [0.25, 0.75, None, 0.125, 0.5, 0.375, None, None, None]
