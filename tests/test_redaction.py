"""No secret and no value of a row is told, whichever library says it, in whatever words."""

import logging
import sys

import pytest

from lakehouse.app.telling import Formatter, tell, trace_of
from lakehouse.errors import StoreError, words_of
from lakehouse.redaction import without_secrets, without_values


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "[CAST_INVALID_INPUT] The value 'it is O\\'Hara' of the type \"STRING\" cannot",
            '[CAST_INVALID_INPUT] The value … of the type "STRING" cannot',
        ),
        (
            '[CAST_OVERFLOW] The value 1.0E300D of the type "DOUBLE". SQLSTATE: 22003',
            '[CAST_OVERFLOW] The value … of the type "DOUBLE". SQLSTATE: 22003',
        ),
        ("Duplicate map key O Hara was found", "Duplicate map key … was found"),
        ("could not convert string to float: 'O Hara'", "could not convert string to float: …"),
        ("Could not convert <O Hara> with type X: tried", "Could not convert … with type X: tried"),
        ("Integer value 9007199254740993 not in range", "Integer value … not in range"),
        ('unseen labels: "O\'Hara", 7.25, -1e9', "unseen labels: …, …, …"),
        ("at 2024-03-01T00:10:00+00:00 and 00:10:00", "at … and …"),
        ("violated by row with values:\n - x : O Hara", "violated by row with values:…"),
        ("Python can't, and column 7 doesn't", "Python can't, and column 7 doesn't"),
        ("float64 of int32 in UTF8", "float64 of int32 in UTF8"),
    ],
)
def test_what_a_library_says_of_a_row_is_told_without_its_values(said: str, told: str) -> None:
    assert without_values(said) == told


def test_our_own_words_and_those_of_files_are_told_whole() -> None:
    assert words_of(StoreError("gold.x@712 is 'gone'")) == "gold.x@712 is 'gone'"
    assert "'/full/disk'" in words_of(OSError(28, "No space left on device", "/full/disk"))
    assert words_of(ValueError("no 'O Hara', 12.5")) == "no …, …"


def failed() -> ValueError:
    try:
        try:
            {}["O Hara of row 98765"]
        except KeyError as error:
            raise ValueError("row 98765:\n    O'Hara 98.765\n    'O Hara'") from error
    except ValueError as raised:
        return raised


def test_a_trace_keeps_its_frames_and_its_code_and_no_value() -> None:
    trace = trace_of(failed())
    assert f'File "{__file__}", line ' in trace
    assert '{}["O Hara of row 98765"]' in trace  # this is code
    for line in trace.splitlines():
        assert "98765" not in line or line.strip().startswith(("{}[", "raise "))
        assert "98.765" not in line or line.strip().startswith("raise ")
    worker = (
        'Traceback (most recent call last):\n  File "w.py", line 765, in f\n    f(765.5)\nE: 765.5'
    )
    assert trace_of(RuntimeError(worker)).endswith(
        '  File "w.py", line 765, in f\n    f(765.5)\nE: …\n'
    )
    java = "x.Y: The value 'O Hara'\n\tat org.x.Y$Z.f(Y.scala:765)\n"
    assert trace_of(RuntimeError(java)).endswith(
        "x.Y: The value …\n\tat org.x.Y$Z.f(Y.scala:765)\n\n"
    )


def logged(name: str, message: str, *values: object, trace: bool = False) -> str:
    try:
        raise failed()
    except ValueError:
        found = sys.exc_info() if trace else None
    record = logging.LogRecord(name, logging.WARNING, __file__, 1, message, values, found)
    return Formatter("%(levelname)s %(name)s: %(message)s").format(record)


def test_a_library_logs_no_value_and_what_we_log_is_told_whole() -> None:
    assert logged("mlflow.x", "refused: %s", {"x": "O Hara"}) == (
        "WARNING mlflow.x: refused: {…: …}"
    )
    assert logged("lakehouse.x", "version %s of '%s'", "123", "a") == (
        "WARNING lakehouse.x: version 123 of 'a'"
    )
    told = logged("lakehouse.x", "not told", trace=True)
    assert "ValueError: row …" in told
    assert "O Hara of row 98765'" not in told


ENVIRONMENT = {
    "MLFLOW_TRACKING_PASSWORD": "pl4nted-mlflow",
    "SLACK_HOOK": "https://hooks.example.com/services/pl4nted-hook",
    "LAKEHOUSE_SQL_PASSWORD": "pl4nted-sql",
    "DATABASE": "postgresql://ann:pl4nted-base@db/x",
}


@pytest.mark.parametrize("value", [*ENVIRONMENT.values(), "pl4nted-hook"])
def test_no_secret_of_the_environment_reaches_a_log_a_trace_or_standard_error(
    value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, secret in ENVIRONMENT.items():
        monkeypatch.setenv(name, secret)
    tell(f"error: {value} is refused")
    told = [
        capsys.readouterr().err,
        trace_of(ValueError(f"no\n{value}")),
        logged("lakehouse", value),
    ]
    assert not [text for text in told if "pl4nted" in text]
    assert trace_of(ValueError(f"no\n{value}")).count("\n") > 1  # it stays a trace


def test_a_login_in_an_address_is_hidden_whatever_its_variable_is_called() -> None:
    said = "API request to http://ann:pl4nted@mlflow:5000/api?token=pl4nted failed"
    assert without_secrets(said, {}) == "API request to http://***@mlflow:5000/api?token=*** failed"
