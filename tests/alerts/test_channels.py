"""What becomes of a message, whatever a receiver does; and no secret is kept."""

import datetime as dt
import smtplib
import socket
import sys
from email.utils import format_datetime

import pytest

from lakehouse.alerts import channels
from lakehouse.alerts.channels import send
from lakehouse.alerts.delivery import Message
from lakehouse.redaction import redacted
from lakehouse.settings import ChannelSettings
from tests.support.alert_rows import event
from tests.support.receiver import Reply

WEBHOOK = ChannelSettings(kind="webhook", url_from="HOOK", token_from="TOKEN")
PAGERS = ChannelSettings(kind="pagerduty", key_from="KEY", url_from="HOOK")
APPRISE = ChannelSettings(kind="apprise", url_from="ANY")
SLACK = ChannelSettings(kind="slack", url_from="HOOK")
MAIL = ChannelSettings(
    kind="email", url_from="SMTP", sender="a@example.com", to=("b@example.com", "c@example.com")
)
SECRETS = {"TOKEN": "t0ken-of-mine", "KEY": "r0uting-key", "SMTP": "smtp://ann:p%40ss@127.0.0.1:1"}


def answer_to(receiver, *replies, channel=WEBHOOK):
    receiver.replies = list(replies)
    message = Message(channel, {}, (event(),))
    return send(message, SECRETS | {"HOOK": receiver.address})


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, "delivered"),
        (202, "delivered"),
        (400, "dead_letter"),
        (401, "dead_letter"),
        (404, "dead_letter"),
        (413, "dead_letter"),
        (408, "retry"),
        (425, "retry"),
        (429, "retry"),
        (500, "retry"),
        (503, "retry"),
    ],
)
def test_a_status_decides_whether_it_is_delivered_tried_again_or_given_up(
    receiver, status, outcome
):
    found = answer_to(receiver, Reply(status))
    assert (found.outcome, found.status) == (outcome, status)


def test_a_redirect_is_not_followed_since_nothing_would_be_delivered(receiver):
    found = answer_to(receiver, Reply(302, headers={"Location": receiver.address}))
    assert (found.outcome, receiver.methods) == ("dead_letter", ["POST"])


def test_a_pause_is_taken_from_the_header_in_seconds_or_as_a_date(receiver):
    found = answer_to(receiver, Reply(429, headers={"Retry-After": "17"}))
    assert found.retry_after == dt.timedelta(seconds=17)
    later = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=90)
    found = answer_to(receiver, Reply(503, headers={"Retry-After": format_datetime(later)}))
    assert dt.timedelta(seconds=80) < found.retry_after <= dt.timedelta(seconds=90)
    found = answer_to(receiver, Reply(503, headers={"Retry-After": "soon"}))
    assert found.retry_after is None


def test_no_answer_is_tried_again():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        found = send(Message(SLACK, {}, (event(),)), {"HOOK": address})
    assert (found.outcome, found.status) == ("retry", None)


def test_an_answer_that_is_no_http_is_tried_again():
    with socket.create_server(("127.0.0.1", 0)) as server:
        import threading

        def babble() -> None:
            connection, _ = server.accept()
            connection.recv(65536)
            connection.sendall(b"SMTP is spoken here\r\n\r\n")
            connection.close()

        threading.Thread(target=babble, daemon=True).start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}/"
        found = send(Message(SLACK, {}, (event(),)), {"HOOK": address})
    assert (found.outcome, found.status) == ("retry", None)


def test_a_receiver_that_is_too_slow_is_tried_again(monkeypatch):
    monkeypatch.setattr(channels, "_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/"
        found = send(Message(SLACK, {}, (event(),)), {"HOOK": address})
    assert (found.outcome, found.status) == ("retry", None)


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://example.com/", "nonsense"])
def test_an_address_of_another_kind_is_not_opened(address):
    found = send(Message(SLACK, {}, (event(),)), {"HOOK": address})
    assert found.outcome == "retry"
    assert "begins neither with https:// nor with http://" in found.detail


def test_a_secret_that_is_not_set_is_named_and_tried_again():
    found = send(Message(SLACK, {}, (event(),)), {})
    assert (found.outcome, found.detail) == ("retry", "HOOK is not set in the environment")


def test_a_token_goes_into_the_header_and_a_key_into_the_body(receiver):
    answer_to(receiver, channel=WEBHOOK)
    answer_to(receiver, channel=PAGERS)
    assert receiver.headers[0]["Authorization"] == "Bearer t0ken-of-mine"
    assert receiver.posts[1]["routing_key"] == "r0uting-key"
    assert receiver.posts[0]["version"] == "4"


def test_no_secret_is_kept_of_what_a_receiver_says(receiver):
    body = f"no such hook: {receiver.address}, /hook/s3cretpath, t0ken-of-mine"
    found = answer_to(receiver, Reply(400, body))
    assert "no such hook" in found.detail
    assert "s3cret" not in found.detail
    assert "t0ken" not in found.detail
    found = answer_to(receiver, Reply(400, "key r0uting-key is unknown"), channel=PAGERS)
    assert found.detail == "key *** is unknown"


def test_a_password_is_hidden_as_it_stands_in_the_address_and_as_it_is():
    assert redacted("login ann p@ss p%40ss", {"SMTP": SECRETS["SMTP"]}) == "login ann *** ***"


def test_a_path_of_short_steps_and_a_query_are_hidden():
    secrets = {"HOOK": "https://hooks.example.com/T00/B00/abc?token=s3cret"}
    assert redacted("no T00/B00/abc here, nor token=s3cret", secrets) == "no *** here, nor ***"


def test_a_secret_may_end_in_a_line_feed_and_one_with_odd_letters_is_hidden_too(receiver):
    message = Message(WEBHOOK, {}, (event(),))
    environ = {"HOOK": receiver.address + "\n", "TOKEN": "t0ken-of-mine\n"}
    assert send(message, environ).outcome == "delivered"
    assert receiver.headers[0]["Authorization"] == "Bearer t0ken-of-mine"
    found = send(message, {"HOOK": receiver.address, "TOKEN": "t0ken\nof-mine"})
    assert (found.outcome, "t0ken" in found.detail) == ("retry", False)


class Server:
    """Stands for smtplib.SMTP: a mail server that speaks to nobody else."""

    def __init__(self, error=None):
        self.error, self.mails, self.calls = error, [], []

    def __call__(self, *_, **__):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def starttls(self, context):
        self.calls.append("starttls")

    def login(self, user, password):
        self.calls.append((user, password))

    def send_message(self, mail):
        if self.error:
            raise self.error
        self.mails.append(mail)


def mailed(monkeypatch, error=None):
    server = Server(error)
    monkeypatch.setattr(smtplib, "SMTP", server)
    return server, send(Message(MAIL, {}, (event(),)), SECRETS)


@pytest.mark.parametrize(("kind", "look"), [("firing", "failure"), ("resolved", "success")])
def test_apprise_reaches_any_receiver_that_it_knows(receiver, kind, look):
    receiver.replies = [Reply(200)]
    address = receiver.address.replace("http://", "json://")
    message = Message(APPRISE, {}, (event(kind=kind, severity="critical"),))
    found = send(message, {"ANY": address})
    assert (found.outcome, found.status) == ("delivered", None)
    body = receiver.posts[0]
    assert body["type"] == look
    assert body["title"].startswith("[critical] ")
    assert event().summary in body["message"]


def test_what_apprise_could_not_deliver_is_tried_again_and_no_secret_is_kept(
    receiver, monkeypatch, caplog
):
    receiver.replies = [Reply(500)]
    address = receiver.address.replace("http://", "json://ann:s3cret@")
    found = send(Message(APPRISE, {}, (event(),)), {"ANY": address})
    assert (found.outcome, "s3cret" in found.detail) == ("retry", False)
    found = send(Message(APPRISE, {}, (event(),)), {"ANY": "s3cret://nonsense"})
    assert (found.outcome, found.detail) == ("retry", "ValueError: Apprise knows no such address")
    assert "s3cret" not in caplog.text
    monkeypatch.setitem(sys.modules, "apprise", None)
    found = send(Message(APPRISE, {}, (event(),)), {"ANY": address})
    assert "pip install 'glassware-lakehouse[apprise]'" in found.detail


def test_a_mail_is_sent_after_a_login_that_is_encrypted(monkeypatch):
    server, found = mailed(monkeypatch)
    assert found.outcome == "delivered"
    assert server.calls == ["starttls", ("ann", "p@ss")]
    assert server.mails[0]["To"] == "b@example.com, c@example.com"


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (smtplib.SMTPDataError(451, b"try again"), "retry"),
        (smtplib.SMTPDataError(550, b"no such user"), "dead_letter"),
        (smtplib.SMTPAuthenticationError(535, b"p@ss is wrong"), "dead_letter"),
        (smtplib.SMTPRecipientsRefused({"b@example.com": (450, b"busy")}), "retry"),
        (
            smtplib.SMTPRecipientsRefused(
                {"b@example.com": (550, b"unknown"), "c@example.com": (450, b"busy")}
            ),
            "retry",
        ),
        (smtplib.SMTPServerDisconnected("gone"), "retry"),
        (TimeoutError("slow"), "retry"),
    ],
)
def test_a_code_of_a_mail_server_is_for_now_or_for_ever(monkeypatch, error, outcome):
    _, found = mailed(monkeypatch, error)
    assert found.outcome == outcome
    assert "p@ss" not in found.detail
