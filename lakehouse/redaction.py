"""Texts without the secrets that they may hold."""

import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

HIDDEN = "***"
_SHORTEST_SECRET = 4
_NAMES = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL|HOOK|SMTP|AUTH", re.IGNORECASE)
_LOGIN = re.compile(r"(?<=://)[^/\s]+(?=@)")
_PARAMETER = re.compile(
    r"(?<=[?&])(\w*(?:key|token|sig|secret|password)\w*=)[^&\s]+", re.IGNORECASE
)


def redacted(text: str, secrets: Mapping[str, str]) -> str:
    """The text on one line, without the secrets, or a part of an address that is one."""
    hidden = {secret for value in secrets.values() for secret in _parts(value)}
    for secret in sorted(hidden, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return " ".join(text.split())


def without_secrets(text: str, environment: Mapping[str, str]) -> str:
    """The text without logins in addresses, and without what the environment keeps secret.

    A variable holds a secret where its name says so.

    >>> without_secrets("GET http://a:b@c/?token=d refused e0f1g2", {"MY_KEY": "e0f1g2"})
    'GET http://***@c/?token=*** refused ***'
    """
    secrets = {name: value for name, value in environment.items() if _NAMES.search(name)}
    text = _LOGIN.sub(HIDDEN, redacted(text, secrets))
    return _PARAMETER.sub(rf"\1{HIDDEN}", text)


def _parts(value: str) -> set[str]:
    """A secret, and what of an address is secret by itself: path, query, user and password."""
    parts = {value}
    if "://" in value:
        address = urlsplit(value)
        parts |= {address.path, address.path.strip("/"), address.query}
        parts |= {address.netloc, address.username or "", address.password or ""}
        parts |= {step for step in address.path.split("/") if len(step) > 2 * _SHORTEST_SECRET}
    parts |= {unquote(part) for part in parts}
    parts |= {repr(part)[1:-1] for part in parts}  # as an error shows one with odd letters
    return {part for part in parts if len(part) >= _SHORTEST_SECRET}
