"""The whole way on disk, without Spark: rows of gold to posts, whatever receivers do, once each."""

import datetime as dt
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from jobs import notify as notify_job
from jobs import silence as silence_job
from lakehouse.alerts.notify import Notifier, Outside
from lakehouse.errors import ConfigurationError, LockedError, StoreError
from lakehouse.storage.delta.locks import exclusive
from lakehouse.storage.plain_tables import read_rows
from lakehouse.tables import catalog_of
from tests.support import plain_delta
from tests.support.alert_rows import (
    DAY,
    GLASSWARE,
    START,
    day_row,
    drift_row,
    model_with,
    window_row,
)
from tests.support.receiver import Reply, receiving

CHANNELS = [{"kind": "webhook", "url_from": "HOOK"}]
QUIET = ["nothing_scored"]
READ = (
    "profile_metrics",
    "drift_metrics",
    "counterfactual",
    "decision",
    "promotion",
    "landed_file",
    "scoring_cost",
    "batch_metrics",
    "job_run",
    "alert_event",
    "alert_delivery",
    "alert_silence",
)


class Clock:
    """A wall clock that moves when somebody sleeps."""

    def __init__(self, at):
        self.at = at

    def now(self):
        self.at += dt.timedelta(milliseconds=10)
        return self.at

    def sleep(self, seconds):
        self.at += dt.timedelta(seconds=seconds)


class Plant:
    """A lakehouse on disk, whose accuracy falls, and its notifier."""

    def __init__(self, root, address, **alerts):
        given = {"channels": CHANNELS, "without": QUIET} | alerts
        self.root, self.model = root, model_with(**given)
        self.catalog = catalog_of(self.model)
        self.clock, self.environ = Clock(START + 12 * DAY), {"HOOK": address, "PAGER": "key"}
        for name in READ:
            plain_delta.create(root, getattr(self.catalog, name))

    def days(self, rights):
        """Write days of predictions; the newest of them is final now."""
        days = range(len(rights))
        windows = [window_row(day) for day in days]
        rows = [day_row(day, right) for day, right in enumerate(rights)]
        plain_delta.replace_rows(self.root, self.catalog.profile_metrics, windows)
        plain_delta.replace_rows(self.root, self.catalog.counterfactual, rows)
        calm = [drift_row(day, name, 0.0) for day in days for name in ("temp", "pressure")]
        plain_delta.replace_rows(self.root, self.catalog.drift_metrics, calm)

    def notifier(self, **outside):
        world = Outside(self.clock.now, self.clock.sleep, self.environ)
        return Notifier(str(self.root), self.model, self.catalog, replace(world, **outside))

    def notify(self, patience=0):
        self.clock.at += dt.timedelta(minutes=10)
        return self.notifier().notify(dt.timedelta(seconds=patience))

    def rows(self, name):
        return read_rows(str(self.root), getattr(self.catalog, name))


FALLEN, MENDED = [190] * 10 + [150, 150], [190] * 10 + [150, 150, 190, 190]


@pytest.fixture
def plant(tmp_path, receiver):
    found = Plant(tmp_path, receiver.address)
    found.days(FALLEN)
    return found


def posted(receiver):
    return [
        (alert["labels"]["alertname"], alert["status"])
        for post in receiver.posts
        for alert in post["alerts"]
    ]


def test_a_fall_of_accuracy_reaches_a_receiver_and_so_does_its_end(plant, receiver):
    plant.notify()
    plant.days(MENDED)
    plant.notify()
    assert posted(receiver) == [("accuracy_low", "firing"), ("accuracy_low", "resolved")]
    assert [row["outcome"] for row in plant.rows("alert_delivery")] == ["delivered"] * 2


def test_running_again_without_news_writes_nothing_and_sends_nothing(plant, receiver):
    plant.notify()
    before = {name: len(plant.rows(name)) for name in READ}
    for _ in range(3):
        done = plant.notify()
        assert (done.events, done.attempts) == ((), ())
    assert {name: len(plant.rows(name)) for name in READ} == before
    assert len(receiver.posts) == 1


def test_a_run_that_is_killed_between_commit_and_sending_is_made_good_by_the_next_one(
    plant, receiver
):
    def killed(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        plant.notifier(send=killed).notify()
    assert len(plant.rows("alert_event")) == 1
    assert plant.rows("alert_delivery") == []
    plant.notify()
    assert posted(receiver) == [("accuracy_low", "firing")]
    assert len(plant.rows("alert_event")) == 1


def test_a_run_that_is_killed_after_sending_sends_again_with_the_same_key(
    plant, receiver, monkeypatch
):
    """At least once: the receiver knows it by its fingerprint."""
    from lakehouse.alerts import notify

    kept = notify.append_rows

    def killed(root, table, rows):
        if table.name == "alert_delivery":
            raise KeyboardInterrupt
        kept(root, table, rows)

    monkeypatch.setattr(notify, "append_rows", killed)
    with pytest.raises(KeyboardInterrupt):
        plant.notify()
    monkeypatch.undo()
    plant.notify()
    first, second = (post["alerts"][0] for post in receiver.posts)
    assert first["fingerprint"] == second["fingerprint"]
    assert first["annotations"]["event_id"] == second["annotations"]["event_id"]


def test_an_event_is_committed_before_it_is_sent(plant):
    def look(message, environ):
        ids = {row["event_id"] for row in plant.rows("alert_event")}
        assert {event.event_id for event in message.events} <= ids
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        plant.notifier(send=look).notify()


def test_a_receiver_in_trouble_is_tried_again_with_growing_pauses_until_it_answers(plant, receiver):
    receiver.replies = [Reply(500), Reply(503), Reply(408)]
    plant.notify(patience=60)
    assert posted(receiver) == [("accuracy_low", "firing")] * 4
    rows = sorted(plant.rows("alert_delivery"), key=lambda row: row["attempt"])
    assert [row["http_status"] for row in rows] == [500, 503, 408, 202]
    pauses = [later["attempted_at"] - row["attempted_at"] for row, later in pairwise(rows)]
    assert pauses == sorted(pauses)


def test_what_patience_does_not_wait_for_the_next_run_sends(plant, receiver):
    receiver.replies = [Reply(429, headers={"Retry-After": "900"})]
    for expected in (1, 1, 2):
        plant.notify(patience=30)  # ten minutes later each time
        assert len(receiver.posts) == expected


def test_an_end_is_not_sent_while_its_beginning_waits(plant, receiver):
    receiver.replies = [Reply(500)] * 2
    plant.notify()
    plant.days(MENDED)
    plant.notify()
    assert posted(receiver) == [("accuracy_low", "firing")] * 2
    plant.notify()
    assert posted(receiver)[2:] == [("accuracy_low", "firing"), ("accuracy_low", "resolved")]


def test_a_dead_letter_is_itself_an_alarm_on_the_channels_that_work(tmp_path, receiver):
    channels = [*CHANNELS, {"kind": "webhook", "name": "broken", "url_from": "BROKEN"}]
    with receiving() as broken:
        plant = Plant(tmp_path, receiver.address, channels=channels)
        plant.environ["BROKEN"] = broken.address
        plant.days(FALLEN)
        broken.replies = [Reply(404)] * 10
        plant.notify(patience=5)
        assert posted(receiver) == [("accuracy_low", "firing"), ("undeliverable", "firing")]
        # It refuses the alarm of its own refusal, too, and that is all.
        assert posted(broken) == [("accuracy_low", "firing"), ("undeliverable", "firing")]
        plant.notify(patience=5)
        assert len(receiver.posts) == len(broken.posts) == 2
        plant.clock.at += 2 * DAY
        plant.notify()
        assert posted(receiver)[2:] == [("undeliverable", "resolved")]
        assert len(broken.posts) == 2


def test_no_secret_is_in_the_tables(plant, receiver):
    receiver.replies = [Reply(400, f"unknown hook {receiver.address}")]
    plant.notify()
    for name in READ:
        assert "s3cretpath" not in str(plant.rows(name))
    for file in Path(plant.root).rglob("*"):
        assert not file.is_file() or b"s3cretpath" not in file.read_bytes()


def test_a_history_that_is_filled_at_once_sends_what_is_true_now_alone(plant, receiver):
    plant.days([190] * 20 + [150] * 4 + [190] * 20 + [150] * 3)
    plant.notify()
    assert posted(receiver) == [("accuracy_low", "firing")]
    assert len(plant.rows("alert_event")) == 1


def test_without_a_channel_events_are_on_record(tmp_path):
    plant = Plant(tmp_path, "", channels=[])
    plant.days(FALLEN)
    assert [event.rule for event in plant.notify().events] == ["accuracy_low"]
    assert len(plant.rows("alert_event")) == 1


def test_two_notifiers_do_not_work_at_once(plant):
    table = plant.catalog.alert_event.full_name
    with exclusive(str(plant.root), table), pytest.raises(LockedError):
        plant.notify()


def test_a_lakehouse_of_an_older_release_is_told_what_to_do(tmp_path):
    model = model_with()
    with pytest.raises(StoreError, match="run a job there once"):
        Notifier(str(tmp_path), model, catalog_of(model)).notify()


def test_nothing_of_it_starts_spark(plant):
    from pyspark.sql import SparkSession

    active = SparkSession.getActiveSession()
    plant.notify()
    assert SparkSession.getActiveSession() is active


@pytest.fixture
def words(plant, tmp_path):
    """The words that name the plant on a command line."""
    import yaml

    path = tmp_path / "model.yaml"
    alerts = {"channels": CHANNELS, "without": QUIET}
    path.write_text(yaml.safe_dump(GLASSWARE | {"alerts": alerts}))
    return ["--model", str(path), "--root", str(plant.root)]


def test_the_job_says_what_it_sent_and_a_dry_run_sends_nothing(
    words, plant, receiver, capsys, monkeypatch
):
    monkeypatch.setenv("HOOK", receiver.address)
    notify_job.main([*words, "--dry-run"])
    assert "accuracy_low" not in posted(receiver)
    assert plant.rows("alert_event") == []
    assert "Accuracy stays credibly below" in capsys.readouterr().out
    notify_job.main(words)
    assert posted(receiver) == [("accuracy_low", "firing")]
    assert "webhook: 1 delivered" in capsys.readouterr().out


@pytest.mark.slow
def test_a_process_that_is_killed_while_it_sends_is_made_good_by_the_next_one(
    words, plant, receiver, monkeypatch
):
    """It has a connection to a receiver, its event is committed, and it dies."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        command = [sys.executable, "-m", "jobs.notify", *words]
        process = subprocess.Popen(command, env={**os.environ, "HOOK": address})
        deaf.settimeout(120)
        connection, _ = deaf.accept()
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        connection.close()
    assert len(plant.rows("alert_event")) == 1
    assert plant.rows("alert_delivery") == []
    monkeypatch.setenv("HOOK", receiver.address)
    for _ in range(2):
        notify_job.main(words)
    assert posted(receiver) == [("accuracy_low", "firing")]


def test_the_job_silences_lists_and_ends(words, plant, receiver, capsys, monkeypatch):
    monkeypatch.setenv("HOOK", receiver.address)
    matched = ["--match", "alertname=accuracy_low", "--for", "2 hours"]
    silence_job.main([*words, *matched, "--who", "ann", "--reason", "maintenance"])
    silence_id = capsys.readouterr().out.split()[0]
    notify_job.main(words)
    assert posted(receiver) == []
    silence_job.main(words)
    assert "ann: maintenance" in capsys.readouterr().out
    silence_job.main([*words, "--end", silence_id, "--who", "bob", "--reason", "done"])
    assert capsys.readouterr().out.strip() == ""
    notify_job.main(words)
    assert posted(receiver) == [("accuracy_low", "firing")]
    rows = sorted(plant.rows("alert_silence"), key=lambda row: row["recorded_at"])
    assert [(row["created_by"], row["comment"]) for row in rows] == [
        ("ann", "maintenance"),
        ("bob", "done"),
    ]


def test_a_silence_without_a_reason_is_refused(words):
    with pytest.raises(ConfigurationError, match="why"):
        silence_job.main([*words, "--match", "model=glassware", "--for", "1 hour"])


def test_what_is_told_to_a_command_line_wrongly_is_refused(words, capsys):
    for wrong in (["--match", "glassware"], ["--match", "model=glassware"], ["--for", "soon"]):
        with pytest.raises(SystemExit):
            silence_job.main([*words, *wrong])
    assert "Traceback" not in capsys.readouterr().err
    assert "lakehouse" in sys.modules
