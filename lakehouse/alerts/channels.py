"""Sends messages: HTTP and SMTP, secrets from the environment, redacted in what is kept."""

import datetime as dt
import json
import logging
import smtplib
import ssl
import stat
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from lakehouse.alerts import payloads
from lakehouse.alerts.delivery import (
    DEAD_LETTER,
    DELIVERED,
    RETRY,
    Answer,
    LedgerMessage,
    Message,
    outcome_of_http,
)
from lakehouse.alerts.events import RESOLVED
from lakehouse.alerts.webhooks import body_of, headers_of
from lakehouse.redaction import redacted
from lakehouse.settings import ChannelSettings

PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"
_SECONDS = 5.0
_LONGEST_DETAIL = 300


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirected POST becomes a GET, which would be answered 200 with nothing delivered."""

    def redirect_request(self, *_: Any) -> None:
        return None


def send(message: Message | LedgerMessage, environ: Mapping[str, str]) -> Answer:
    """Send a message, and say what became of it. Whatever a receiver does, nothing is raised.

    Args:
        message: with the settings of its channel.
        environ: where the secrets are.
    """
    channel = message.channel
    variables = (channel.url_from, channel.key_from, channel.token_from, channel.secret_from)
    missing = [name for name in variables if name and not environ.get(name, "").strip()]
    if missing:
        return Answer(RETRY, None, f"{', '.join(missing)} is not set in the environment")
    secrets = {name: environ[name].strip() for name in variables if name}
    try:
        if channel.secret_file:
            secrets[channel.secret_file] = _secret_of_file(channel.secret_file)
        answer = _sent(message, secrets)
    # No answer, or no address.
    except (OSError, ValueError, HTTPException, smtplib.SMTPException) as error:
        answer = Answer(RETRY, None, f"{type(error).__name__}: {error}")
    detail = redacted(answer.detail, secrets)[:_LONGEST_DETAIL]
    return Answer(answer.outcome, answer.status, detail, answer.retry_after)


def _sent(message: Message | LedgerMessage, secrets: Mapping[str, str]) -> Answer:
    channel = message.channel
    if isinstance(message, LedgerMessage):
        secret = _secret(channel.secret_from or channel.secret_file, secrets)
        signed = headers_of(message.event, secret, dt.datetime.now(dt.UTC))
        headers = {**_headers(channel, secrets), **signed}
        return _posted(_secret(channel.url_from, secrets), body_of(message.event), headers)
    if channel.kind == "email":
        return _mailed(payloads.email(message), urlsplit(_secret(channel.url_from, secrets)))
    if channel.kind == "apprise":
        return _by_apprise(message, _secret(channel.url_from, secrets))
    if channel.kind == "pagerduty":
        (event,) = message.events
        body = payloads.pagerduty(event, _secret(channel.key_from, secrets))
    elif channel.kind == "slack":
        body = payloads.slack(message)
    else:
        body = payloads.alertmanager(message)
    address = _secret(channel.url_from, secrets) if channel.url_from else PAGERDUTY
    return _posted(address, json.dumps(body, ensure_ascii=False), _headers(channel, secrets))


def _secret(place: str | None, secrets: Mapping[str, str]) -> str:
    assert place is not None  # settings see to it
    return secrets[place]


def _secret_of_file(path: str) -> str:
    """The secret in a file of ours that nobody else may read."""
    file = Path(path)
    if stat.S_IMODE(file.stat().st_mode) & 0o077:
        raise ValueError(f"{path}: others may read it; write another secret, with mode 600")
    secret = file.read_text(encoding="utf-8").strip()
    if not secret:
        raise ValueError(f"{path}: holds no secret")
    return secret


def _headers(channel: ChannelSettings, secrets: Mapping[str, str]) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "User-Agent": "lakehouse"}
    if channel.token_from:
        headers["Authorization"] = f"Bearer {secrets[channel.token_from]}"
    return headers


def _posted(address: str, body: str, headers: Mapping[str, str]) -> Answer:
    """POST JSON over HTTP; redirects are not followed, certificates are checked."""
    if urlsplit(address).scheme not in ("http", "https"):
        raise ValueError("the address begins neither with https:// nor with http://")
    request = urllib.request.Request(address, body.encode(), dict(headers), method="POST")
    try:
        with urllib.request.build_opener(_NoRedirects).open(request, timeout=_SECONDS) as answer:
            return Answer(outcome_of_http(answer.status), answer.status, _read(answer))
    except urllib.error.HTTPError as error:
        asked = _retry_after(error.headers.get("Retry-After"), dt.datetime.now(dt.UTC))
        return Answer(outcome_of_http(error.code), error.code, _read(error), asked)


def _read(answer: Any) -> str:
    """The beginning of an answer's body."""
    return str(answer.read(_LONGEST_DETAIL).decode("utf-8", "replace"))


def _retry_after(text: str | None, now: dt.datetime) -> dt.timedelta | None:
    """The pause that a header asks for: seconds, or a date; None if it is neither."""
    if text is None:
        return None
    if text.strip().isdigit():
        return dt.timedelta(seconds=min(int(text), 10**6))
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=dt.UTC)
    return max(until - now, dt.timedelta(0))


def _by_apprise(message: Message, address: str) -> Answer:
    """Hand a message to Apprise, an extra that knows a hundred receivers more.

    It tells neither status nor reason: what it could not deliver is tried again.
    """
    try:
        import apprise
    except ImportError:
        words = "Apprise is not installed: pip install 'glassware-lakehouse[apprise]'"
        return Answer(RETRY, None, words)
    logging.getLogger("apprise").disabled = True  # it writes addresses, with what is secret in them
    receiver = apprise.Apprise()
    if not receiver.add(address):
        raise ValueError("Apprise knows no such address")
    title, text = payloads.plain(message)
    kinds = {"info": "info", "warning": "warning", "error": "failure", "critical": "failure"}
    is_over = all(event.kind == RESOLVED for event in message.events)
    kind = "success" if is_over else kinds[message.events[0].severity]
    if receiver.notify(body=text, title=title, notify_type=kind):
        return Answer(DELIVERED, None)
    return Answer(RETRY, None, "Apprise could not deliver it, and does not say why")


def _mailed(mail: EmailMessage, server: SplitResult) -> Answer:
    """Hand a mail to the server of `smtp://` or `smtps://`; a login needs encryption."""
    if server.scheme not in ("smtp", "smtps") or not server.hostname:
        raise ValueError("the address is not such as smtp://user:password@host:587")
    context = ssl.create_default_context()
    try:
        with _connected(server, context) as connection:
            if server.username:
                if server.scheme == "smtp":
                    connection.starttls(context=context)
                connection.login(unquote(server.username), unquote(server.password or ""))
            connection.send_message(mail)
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        return Answer(_outcome_of_smtp(min(codes)), min(codes), "a receiver was refused")
    except smtplib.SMTPResponseException as error:
        words = error.smtp_error
        text = words.decode("utf-8", "replace") if isinstance(words, bytes) else str(words)
        return Answer(_outcome_of_smtp(error.smtp_code), error.smtp_code, text)
    return Answer(DELIVERED, 250)


def _connected(server: SplitResult, context: ssl.SSLContext) -> smtplib.SMTP:
    host = server.hostname or ""
    if server.scheme == "smtps":
        return smtplib.SMTP_SSL(host, server.port or 465, timeout=_SECONDS, context=context)
    return smtplib.SMTP(host, server.port or 25, timeout=_SECONDS)


def _outcome_of_smtp(code: int) -> str:
    """By RFC 5321, 4xx is for now and 5xx for ever."""
    return RETRY if code < 500 else DEAD_LETTER
