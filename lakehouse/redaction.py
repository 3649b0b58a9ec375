"""Texts without the secrets, and without the values of rows, that they may hold."""

import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

HIDDEN, VALUE = "***", "…"
_SHORTEST_SECRET = 4
_NAMES = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL|HOOK|SMTP|AUTH", re.IGNORECASE)
_LOGIN = re.compile(r"(?<=://)[^/\s]+(?=@)")
_PARAMETER = re.compile(
    r"(?<=[?&])(\w*(?:key|token|sig|secret|password)\w*=)[^&\s]+", re.IGNORECASE
)

_QUOTED = re.compile(r"""(?<!\w)(?:'(?:[^'\\]|\\.)*'|"(?![A-Z_ ]+")(?:[^"\\]|\\.)*")(?!\w)""")
_NUMBER = re.compile(
    r"(?<![\w.])(?<!SQLSTATE: )[-+]?(?:\d{3,}|\d+(?:[.:,/T-]|[eE][-+]?)\d)(?:[\w.:,/+-]*\w)?"
)
_NAMED_VALUE = re.compile(
    r"(?<=[Tt]he value ).*?(?= of the type)|(?<=[Mm]ap key ).*?(?= was found)"
    r"|(?<=with values:).*|(?<=[Cc]ould not convert ).*?(?= with type)",
    re.DOTALL,
)
_FRAME = re.compile(r"\s*(?:File \"|at [\w.$/<>]+\(|Traceback |\.\.\. \d+ more)")


def redacted(text: str, secrets: Mapping[str, str]) -> str:
    """The text on one line, without the secrets, or a part of an address that is one."""
    return " ".join(_without(text, secrets).split())


def without_secrets(text: str, environment: Mapping[str, str]) -> str:
    """The text without logins in addresses, and without what the environment keeps secret.

    A variable holds a secret where its name says so.

    >>> without_secrets("GET http://a:b@c/?token=d refused e0f1g2", {"MY_KEY": "e0f1g2"})
    'GET http://***@c/?token=*** refused ***'
    """
    secrets = {name: value for name, value in environment.items() if _NAMES.search(name)}
    text = _LOGIN.sub(HIDDEN, _without(text, secrets))
    return _PARAMETER.sub(rf"\1{HIDDEN}", text)


def without_values(text: str) -> str:
    r"""What a library says of an error, without what may be a value of a row.

    Hidden are quoted texts, numbers of three digits and more, fractions and times, and what Spark
    names as a value without quotes.

    >>> without_values("[CAST_INVALID_INPUT] The value 'a-1' of the type \"STRING\" is malformed")
    '[CAST_INVALID_INPUT] The value … of the type "STRING" is malformed'
    >>> without_values("could not convert 12.5 to int64 in column 7")
    'could not convert … to int64 in column 7'
    """
    for pattern in (_NAMED_VALUE, _QUOTED, _NUMBER):
        text = pattern.sub(VALUE, text)
    return text


def trace_without_values(trace: str) -> str:
    """A stack trace of Python or Java whose messages are `without_values`; its frames are code."""
    lines, in_code = [], False
    for line in trace.split("\n"):
        is_frame = bool(_FRAME.match(line))
        in_code = is_frame or (in_code and line.startswith("    "))
        lines.append(line if in_code else without_values(line))
    return "\n".join(lines)


def _without(text: str, secrets: Mapping[str, str]) -> str:
    hidden = {secret for value in secrets.values() for secret in _parts(value)}
    for secret in sorted(hidden, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


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
