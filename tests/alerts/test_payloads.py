"""The payloads as they are on the wire: golden ones, and what must never be in them."""

import json
from pathlib import Path

import pytest

from lakehouse.alerts import payloads
from lakehouse.alerts.delivery import Message
from lakehouse.settings import ChannelSettings
from tests.support.alert_rows import DAY, START, event

GOLDEN = Path(__file__).parent / "golden"
WEBHOOK = ChannelSettings(kind="webhook", url_from="HOOK")
MAIL = ChannelSettings(kind="email", url_from="SMTP", sender="a@example.com", to=("b@example.com",))
FIRING = event(
    severity="critical",
    labels={"alertname": "slow", "model": "glassware", "column": "temp"},
    link="https://example.com/dashboard",
)
OVER = event(1, "resolved", severity="critical", fingerprint="f1", as_of=START + DAY)
BOTH = Message(WEBHOOK, {"model": "glassware", "severity": "critical"}, (FIRING, OVER))

MADE = {
    "pagerduty_trigger": lambda: payloads.pagerduty(FIRING, "a-routing-key"),
    "pagerduty_resolve": lambda: payloads.pagerduty(OVER, "a-routing-key"),
    "slack": lambda: payloads.slack(BOTH),
    "alertmanager": lambda: payloads.alertmanager(BOTH),
    "email": lambda: str(payloads.email(Message(MAIL, {}, (FIRING, OVER)))).splitlines(),
}


@pytest.mark.parametrize("name", MADE)
def test_a_payload_is_the_golden_one(name):
    golden = GOLDEN / f"{name}.json"
    text = json.dumps(MADE[name](), indent=2, ensure_ascii=False) + "\n"
    assert text == golden.read_text(encoding="utf-8")


def test_a_summary_is_as_long_as_pagerduty_takes_it():
    long = event(summary="x" * 5000)
    assert len(payloads.pagerduty(long, "key")["payload"]["summary"]) == 1024


def test_a_key_of_pagerduty_is_short_enough():
    assert len(payloads.pagerduty(FIRING, "key")["dedup_key"]) <= 255


def test_an_address_that_is_no_address_is_no_link():
    local = event(runbook="docs/alerts.md#slow")
    assert payloads.pagerduty(local, "key")["links"] == []


def test_words_of_the_data_are_no_markup_of_slack():
    bad = event(summary="glassware: <!channel> & <https://example.com|click>")
    text = json.dumps(payloads.slack(Message(WEBHOOK, {}, (bad,))))
    assert "<" not in text
    assert "&lt;!channel&gt; &amp;" in text


def test_slack_is_sent_no_more_blocks_than_it_takes():
    many = tuple(event(fingerprint=str(number)) for number in range(200))
    blocks = payloads.slack(Message(WEBHOOK, {}, many))["blocks"]
    assert len(blocks) <= 50
    assert blocks[-1]["text"]["text"] == "and 152 more"


def test_a_mail_has_one_line_as_its_subject_whatever_the_summary_holds():
    bad = event(summary="glassware: bad\r\nBcc: everybody@example.com")
    mail = payloads.email(Message(MAIL, {}, (bad,)))
    assert mail["Bcc"] is None
    assert "\n" not in mail["Subject"]


def test_the_same_events_have_the_same_message_id():
    ids = {payloads.email(Message(MAIL, {}, each))["Message-ID"] for each in [(FIRING,)] * 2}
    assert len(ids) == 1
    assert payloads.email(Message(MAIL, {}, (OVER,)))["Message-ID"] not in ids
