"""Rows of ledgers to signed posts: each at least once, in their order, whatever receivers do."""

import base64
import datetime as dt
import hashlib
import hmac
import json
import math
import time
from dataclasses import replace

import pytest
from mlflow.webhooks.delivery import _generate_hmac_signature
from pydantic import ValidationError

from lakehouse.alerts import notify
from lakehouse.alerts.delivery import Attempt
from lakehouse.alerts.ledger_events import ledger_events, moment_of
from lakehouse.alerts.notify import Notifier, Outside
from lakehouse.alerts.webhooks import body_of, cursor_of, signature_of
from lakehouse.settings import ChannelSettings
from lakehouse.storage.plain_tables import read_rows
from lakehouse.tables import catalog_of
from tests.alerts.test_notify import READ, Clock
from tests.support import plain_delta
from tests.support.alert_rows import DAY, START, model_with
from tests.support.receiver import Reply

SECRET = "s1gned-by-this"
NOW = START + 12 * DAY
HOUR, MINUTE = dt.timedelta(hours=1), dt.timedelta(minutes=1)
HOOK = {"kind": "events", "url_from": "HOOK", "secret_from": "HOOK_SECRET"}


def verdict(action, version, at, **more):
    return {
        "as_of": START,
        "action": action,
        "who": "retrain_and_promote",
        "recorded_at": at,
        "from_version": "1",
        "to_version": version,
        "reason": "accuracy fell",
        "evidence": {"p_better": 0.99},
        **more,
    }


def step(action, at):
    return {
        "rollout_id": "r1",
        "recorded_at": at,
        "as_of": START,
        "action": action,
        "strategy": "canary",
        "champion": "1",
        "challenger": "2",
        "share": 0.1,
        "who": "retrain_and_promote",
        "rule": "gate",
        "reason": "passed",
        "evidence": {},
    }


def decision(retrain, at):
    action = "retrain" if retrain else "keep"
    return {"as_of": START, "action": action, "retrain": retrain, "decided_at": at, "rule": "alarm"}


class Works:
    """A lakehouse on disk whose ledgers grow, and its notifier."""

    def __init__(self, root, address, *channels):
        self.root, self.model = root, model_with(channels=list(channels or (HOOK,)))
        self.catalog, self.clock = catalog_of(self.model), Clock(NOW)
        self.environ = {"HOOK": address, "HOOK_SECRET": SECRET}
        for name in (*READ, "rollout"):
            plain_delta.create(root, getattr(self.catalog, name))
        self.promotions = []

    def record(self, action, version, ago=MINUTE, **more):
        self.promotions.append(verdict(action, version, self.clock.at - ago, **more))
        self.write("promotion", self.promotions)

    def write(self, name, rows):
        plain_delta.replace_rows(self.root, getattr(self.catalog, name), rows)

    def notify(self, patience=0, **outside):
        self.clock.at += dt.timedelta(minutes=10)
        world = replace(Outside(self.clock.now, self.clock.sleep, self.environ), **outside)
        notifier = Notifier(str(self.root), self.model, self.catalog, world)
        return notifier.notify(dt.timedelta(seconds=patience))

    def deliveries(self):
        rows = read_rows(str(self.root), self.catalog.alert_delivery)
        return sorted(rows, key=lambda row: (row["attempted_at"], row["attempt"]))


@pytest.fixture
def works(tmp_path, receiver):
    return Works(tmp_path, receiver.address)


def told(receiver):
    return [
        (f"{post['entity']}.{post['action']}", post["data"].get("version"))
        for post in receiver.posts
    ]


def ids(receiver):
    return [headers["X-Mlflow-Delivery-Id"] for headers in map(_titled, receiver.headers)]


def _titled(headers):
    return {name.title(): value for name, value in headers.items()}


def verified(body, headers, secret):
    """As MLflow's documentation has a receiver verify a webhook."""
    signature, timestamp = headers["X-Mlflow-Signature"], headers["X-Mlflow-Timestamp"]
    if abs(int(time.time()) - int(timestamp)) > 300 or not signature.startswith("v1,"):
        return False
    signed = f"{headers['X-Mlflow-Delivery-Id']}.{timestamp}.{body}"
    expected = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    return hmac.compare_digest(signature.removeprefix("v1,"), base64.b64encode(expected).decode())


def test_a_promotion_reaches_a_receiver_that_verifies_it_as_mlflow_says(works, receiver):
    works.record("promote", "2")
    works.notify()
    assert told(receiver) == [("model_version.promoted", "2")]
    (post,), (headers,) = receiver.posts, map(_titled, receiver.headers)
    body = json.dumps(post, sort_keys=True)
    assert verified(body, headers, SECRET)
    assert not verified(body, headers, "another")
    assert not verified(body.replace("promoted", "refused"), headers, SECRET)
    assert post["data"]["evidence"] == {"p_better": 0.99}


def test_the_signature_is_mlflows():
    given = ("secret", "promotion-1", "1700000000", '{"a": "ü"}')
    assert signature_of(*given) == _generate_hmac_signature(*given)


def test_each_ledger_is_told_of_in_the_order_in_which_it_was_written(works, receiver):
    before = works.clock.at - HOUR
    works.write("decision", [decision(True, before), decision(False, before + MINUTE)])
    steps = [step("start", before + 2 * MINUTE), step("hold", before + 3 * MINUTE)]
    works.write("rollout", [*steps, step("abort", before + 4 * MINUTE)])
    works.record("rollout", "2", HOUR - 2 * MINUTE)  # the first step tells of it
    works.record("refuse", "2", HOUR - 5 * MINUTE)
    works.record("rollback", "1", HOUR - 6 * MINUTE)
    works.record("pending", "3", HOUR - 7 * MINUTE)
    works.notify()
    assert [name for name, _ in told(receiver)] == [
        "training.asked",
        "rollout.started",
        "rollout.aborted",
        "model_version.refused",
        "model_version.rolled_back",
        "model_version.pending",
    ]


def test_a_channel_is_told_of_the_events_that_it_names_alone(tmp_path, receiver):
    channel = HOOK | {"events": ["model_version.promoted"]}
    works = Works(tmp_path, receiver.address, channel)
    works.record("refuse", "2", 2 * MINUTE)
    works.record("promote", "3")
    works.notify()
    assert told(receiver) == [("model_version.promoted", "3")]


def test_a_run_that_is_killed_between_sending_and_its_record_sends_the_same_delivery_again(
    works, receiver, monkeypatch
):
    works.record("promote", "2")
    kept = notify.append_rows

    def killed(root, table, rows):
        if any(row.get("outcome") == "delivered" for row in rows):
            raise KeyboardInterrupt
        kept(root, table, rows)

    monkeypatch.setattr(notify, "append_rows", killed)
    with pytest.raises(KeyboardInterrupt):
        works.notify()
    monkeypatch.undo()
    works.notify()
    works.notify()
    first, second = ids(receiver)
    assert first == second
    assert receiver.posts[0] == receiver.posts[1]


def test_a_run_that_is_killed_before_sending_is_made_good_by_the_next_one(works, receiver):
    def killed(*_):
        raise KeyboardInterrupt

    works.record("promote", "2")
    with pytest.raises(KeyboardInterrupt):
        works.notify(send=killed)
    works.notify()
    assert told(receiver) == [("model_version.promoted", "2")]


def test_running_again_without_news_writes_and_sends_nothing(works, receiver):
    works.record("promote", "2")
    works.notify()
    before = works.deliveries()
    assert works.notify().attempts == ()
    assert works.deliveries() == before
    assert len(receiver.posts) == 1


def test_events_wait_in_their_order_for_a_receiver_that_does_not_answer_for_days(works, receiver):
    receiver.replies = [Reply(503)] * 3
    works.record("pending", "2", 2 * MINUTE)
    works.record("promote", "2")
    for _ in range(3):
        works.notify()
        works.clock.at += 3 * DAY
    works.notify()
    assert [name for name, _ in told(receiver)] == [
        *["model_version.pending"] * 4,
        "model_version.promoted",
    ]
    assert len(set(ids(receiver))) == 2


def test_an_event_that_a_receiver_refuses_holds_up_no_other_one(works, receiver):
    receiver.replies = [Reply(410)]
    works.record("pending", "2", 2 * MINUTE)
    works.record("promote", "2")
    works.notify()
    outcomes = [row["outcome"] for row in works.deliveries()]
    assert outcomes == ["begun", "dead_letter", "delivered"]


def test_a_new_channel_is_not_told_of_what_is_long_over(works, receiver):
    works.record("promote", "1", 5 * DAY)
    works.record("promote", "2", 2 * DAY)
    works.notify()
    assert told(receiver) == [("model_version.promoted", "2")]


def test_what_is_recorded_while_no_notifier_runs_is_sent_however_late(works, receiver):
    works.notify()
    works.record("promote", "2")
    works.clock.at += 30 * DAY
    works.notify()
    assert told(receiver) == [("model_version.promoted", "2")]


def test_a_row_that_another_ledger_overtook_is_sent(works, receiver):
    """A step of a rollout may be stamped before a verdict, and committed after it was sent."""
    works.record("promote", "2", MINUTE)
    works.notify()
    works.write("rollout", [step("start", works.promotions[0]["recorded_at"] - MINUTE)])
    works.notify()
    assert [name for name, _ in told(receiver)] == ["model_version.promoted", "rollout.started"]


def test_a_ledger_is_read_from_the_newest_event_on_that_every_channel_has():
    def row(name, channel, outcome):
        return Attempt(name, channel, 1, outcome, None, "", None, NOW)

    begin, first, second = (
        f"{ledger}-20240301T0{hour}0000.000000Z"
        for ledger, hour in (("begin", 0), ("promotion", 1), ("promotion", 2))
    )
    slow, quick = (ChannelSettings(**HOOK | {"name": name}) for name in ("slow", "quick"))
    attempts = [row(begin, name, "begun") for name in ("slow", "quick")]
    attempts += [row(first, "slow", "delivered"), row(second, "slow", "retry")]
    attempts += [row(first, "quick", "delivered"), row(second, "quick", "dead_letter")]
    found = [cursor_of("promotion", each, attempts, NOW) for each in ([quick], [slow, quick])]
    assert found == [moment_of(second), moment_of(first)]
    assert cursor_of("rollout", [slow, quick], attempts, NOW) == moment_of(begin)


def test_a_figure_that_json_has_not_is_null():
    rows = {"promotion": [verdict("promote", "2", NOW, evidence={"gain": math.nan})]}
    (event,) = ledger_events("glassware", rows)
    assert json.loads(body_of(event), parse_constant=pytest.fail)["data"]["evidence"] == {
        "gain": None
    }


def test_a_secret_may_stand_in_a_file_that_nobody_else_may_read(tmp_path, receiver):
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    file.chmod(0o644)
    channel = {"kind": "events", "url_from": "HOOK", "secret_file": str(file)}
    works = Works(tmp_path / "lakehouse", receiver.address, channel)
    works.record("promote", "2")
    works.notify()
    assert receiver.posts == []
    assert "mode 600" in works.deliveries()[-1]["detail"]
    file.chmod(0o600)
    works.notify()
    body = json.dumps(receiver.posts[0], sort_keys=True)
    assert verified(body, _titled(receiver.headers[0]), SECRET)


def test_without_its_secret_nothing_is_sent(works, receiver):
    del works.environ["HOOK_SECRET"]
    works.record("promote", "2")
    works.notify()
    assert receiver.posts == []
    assert works.deliveries()[-1]["detail"] == "HOOK_SECRET is not set in the environment"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"kind": "events", "url_from": "HOOK"}, "write either `secret_from` or `secret_file`"),
        ({"kind": "events", "secret_from": "SECRET"}, "url_from: is missing"),
        (HOOK | {"severity": ["error"]}, "events of ledgers have none"),
        (HOOK | {"events": ["model_version.created"]}, "model_version.promoted"),
        ({"kind": "slack", "url_from": "A", "events": []}, "for the kind `events` alone"),
    ],
)
def test_settings_that_make_no_sense_are_told_of(given, words):
    with pytest.raises(ValidationError, match=words):
        ChannelSettings.model_validate(given)
