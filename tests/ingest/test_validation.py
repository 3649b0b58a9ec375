"""One line in; typed values and every rule that it breaks out."""

import datetime as dt
import json
from typing import Any

import pytest

from lakehouse.ingest.validation import LONGEST_LINE, TOO_LONG, LineRules, Row
from lakehouse.settings import ColumnSettings, SourceSettings, StreamSettings, load_model_settings

BEGAN = dt.datetime(2019, 7, 1, tzinfo=dt.UTC)
LANDED = dt.datetime(2019, 7, 10, 12, tzinfo=dt.UTC)
MALFORMED = ["malformed JSON"]
NOT_AN_OBJECT = ["malformed JSON: not an object"]
GOOD: dict[str, Any] = {
    "id": 7,
    "at": "2019-07-10T11:00:00Z",
    "size": 1.5,
    "few": -3,
    "done": True,
    "word": "aé😀",
    "note": None,
    "reach": -3.4028234663852886e38,  # the last number of float32
}
RULES = LineRules(
    SourceSettings(
        table="thing",
        columns={
            "id": ColumnSettings(type="long", min=1),
            "at": ColumnSettings(type="timestamp"),
            "size": ColumnSettings(type="double", min=0, max=10),
            "few": ColumnSettings(type="integer", values=(-3, 4)),
            "done": ColumnSettings(type="boolean"),
            "word": ColumnSettings(type="string"),
            "note": ColumnSettings(type="string", nullable=True),
            "reach": ColumnSettings(type="double", nullable=True),
        },
    ),
    StreamSettings(began=BEGAN, max_ahead=dt.timedelta(minutes=5)),
    modelled=frozenset({"reach"}),
)


def read(line: str | bytes | dict[str, Any]) -> Row:
    text = json.dumps(line) if isinstance(line, dict) else line
    return RULES.read(text if isinstance(text, bytes) else text.encode(), LANDED)


def with_text(name: str, text: str) -> str:
    """The good line with a value written as it is, where Python would not write it so."""
    marked = json.dumps(GOOD | {name: "@"})
    return marked.replace('"@"', text)


def test_a_good_line_is_typed() -> None:
    row = read(GOOD)
    assert row.reasons == []
    assert row.values == GOOD | {"at": dt.datetime(2019, 7, 10, 11, tzinfo=dt.UTC)}
    # white space around, a carriage return of CRLF, a field that nobody declared, no nullable
    # field: all as good
    line = {name: value for name, value in GOOD.items() if name != "note"} | {
        "extra": [1, {"a": 2}]
    }
    assert read(f" {json.dumps(line)} \r") == row
    assert read("\ufeff" + json.dumps(line)) == row  # a byte order mark


@pytest.mark.parametrize(
    ("line", "reasons"),
    [
        ("", MALFORMED),  # blank
        ("\r", MALFORMED),
        ("{", MALFORMED),
        (json.dumps(GOOD)[:-1], MALFORMED),  # cut off
        (json.dumps(GOOD) + " x", MALFORMED),  # text behind the object: Spark's parser lets it pass
        (json.dumps(GOOD) + json.dumps(GOOD), MALFORMED),
        (json.dumps(GOOD).encode("utf-16"), MALFORMED),  # UTF-16, with its byte order mark
        ("\ufeff\ufeff" + json.dumps(GOOD), MALFORMED),  # two byte order marks
        ("x" * (LONGEST_LINE + 1), [TOO_LONG]),
        (b'{"id": "\xff"}', MALFORMED),  # not UTF-8
        (b'{"id": "\xed\xa0\x80"}', MALFORMED),  # half a surrogate pair as bytes
        ('{"id": "a\x00b"}', MALFORMED),  # a control character in a string
        ("\x00", MALFORMED),
        ("{'id': 1}", MALFORMED),
        ("[" * 100_000, MALFORMED),  # deep nesting
        ('{"id":' * 100_000 + "1" + "}" * 100_000, MALFORMED),
        (f'{{"id": {"9" * 5000}}}', MALFORMED),  # a number that Python refuses to read
        ("x" * 5_000_000, MALFORMED),
        ("null", NOT_AN_OBJECT),
        ("17", NOT_AN_OBJECT),
        (f"[{json.dumps(GOOD)}]", NOT_AN_OBJECT),
        ('"text"', NOT_AN_OBJECT),
        ("NaN", NOT_AN_OBJECT),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_a_line_that_is_no_object_is_malformed(line: str | bytes, reasons: list[str]) -> None:
    assert read(line) == Row(dict.fromkeys(GOOD), reasons)


WRONG_LONG, WRONG_TIME = "id: wrong type, long expected", "at: wrong type, timestamp expected"
WRONG_DOUBLE, NOT_FINITE = "size: wrong type, double expected", "size: NaN or infinity"


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("id", "null", "id: null"),
        ("id", '"7"', WRONG_LONG),  # a number in quotes
        ("id", "true", WRONG_LONG),  # a bool is an int to Python
        ("id", "1.5", WRONG_LONG),
        (
            "id",
            "9007199254740992.5",
            WRONG_LONG,
        ),  # beyond 2^53, where a double would round the half away
        ("id", "7.000000000000000000000000001", WRONG_LONG),
        ("id", "7e-99999999999999999999999", WRONG_LONG),
        ("id", "9223372036854775808.0", WRONG_LONG),
        ("id", "1e400", "id: NaN or infinity"),
        ("id", "[7]", WRONG_LONG),
        ("id", str(2**63), WRONG_LONG),  # does not fit
        ("id", "NaN", "id: NaN or infinity"),
        ("id", "0", "id: out of range"),
        ("few", "-4", "few: not one of -3, 4"),
        ("few", str(2**31), "few: wrong type, integer expected"),
        ("size", '"1.5"', WRONG_DOUBLE),
        ("size", "false", WRONG_DOUBLE),
        ("size", "{}", WRONG_DOUBLE),
        ("size", '""', WRONG_DOUBLE),
        ("size", "NaN", NOT_FINITE),
        ("size", "-Infinity", NOT_FINITE),
        ("size", "1e400", NOT_FINITE),
        ("size", "1" + "0" * 400, NOT_FINITE),  # a whole number that no double holds
        ("size", '"NaN"', NOT_FINITE),  # in words
        ("size", '" -inf "', NOT_FINITE),
        ("size", "-0.1", "size: out of range"),
        ("size", "10.000001", "size: out of range"),
        ("done", "2", "done: wrong type, boolean expected"),
        ("done", "0.5", "done: wrong type, boolean expected"),
        ("done", '"1"', "done: wrong type, boolean expected"),
        ("reach", "3.4028236e38", "reach: beyond float32, which models compute in"),
        ("reach", "-1.7e308", "reach: beyond float32, which models compute in"),
        ("done", '"true"', "done: wrong type, boolean expected"),
        ("word", "5", "word: wrong type, string expected"),
        ("word", r'"a\ud800"', "word: wrong type, string expected"),  # half a surrogate pair
        ("note", "5", "note: wrong type, string expected"),  # nullable, and yet typed
        ("at", "1562716800", WRONG_TIME),  # seconds of the epoch
        ("at", '"1562716800"', WRONG_TIME),
        ("at", '"2019-07-10"', WRONG_TIME),  # a day is no moment
        ("at", '"2019-02-30T00:00:00Z"', WRONG_TIME),
        ("at", '"2019-07-10T25:00:00Z"', WRONG_TIME),
        ("at", '"２０１９-07-10T11:00:00Z"', WRONG_TIME),  # digits of another script
        (
            "at",
            '"0001-01-01T00:00:00+14:00"',
            WRONG_TIME,
        ),  # before the first moment that a computer knows
        ("at", '"2019-07-10T11:00:00Z; drop"', WRONG_TIME),
        ("at", '"2019-06-30T23:59:59.999999Z"', "at: before the stream began"),
        ("at", '"2019-07-10T12:05:00.000001Z"', "at: in the future"),
        ("at", '"9999-12-31T23:59:59Z"', "at: in the future"),
    ],
)
def test_a_wrong_value_has_its_reason_and_no_other(name: str, text: str, reason: str) -> None:
    row = read(with_text(name, text))
    assert row.reasons == [reason]
    assert row.values == read(GOOD).values | {name: None}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("id", "7.0", 7),
        ("id", "7e0", 7),
        ("id", "0.7E1", 7),
        ("id", "9007199254740993.0", 9007199254740993),  # beyond 2^53 every digit counts
        ("id", "9.223372036854775807e18", 2**63 - 1),
        ("few", "-3.000", -3),
        ("done", "1", True),
        ("done", "0", False),
        ("done", "-0.0", False),
        ("done", "1.0", True),
        ("size", "9007199254740993e-15", 9.007199254740993),
    ],
)
def test_a_whole_number_and_a_truth_value_are_taken_however_they_are_written(
    name: str, text: str, value: Any
) -> None:
    row = read(with_text(name, text))
    assert (row.values[name], type(row.values[name]), row.reasons) == (value, type(value), [])


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2019-07-01T00:00:00Z", BEGAN),  # the first moment of the stream
        ("2019-07-10T12:05:00Z", LANDED + dt.timedelta(minutes=5)),  # the last that landing allows
        (
            "2019-07-10 11:00:00.5",
            dt.datetime(2019, 7, 10, 11, 0, 0, 500_000, dt.UTC),
        ),  # no zone: UTC
        ("2019-07-10T13:00:00+02:00", dt.datetime(2019, 7, 10, 11, tzinfo=dt.UTC)),
        ("2019-07-10T11:00Z", dt.datetime(2019, 7, 10, 11, tzinfo=dt.UTC)),
        ("2019-07-10T11:00:00.123456789Z", dt.datetime(2019, 7, 10, 11, 0, 0, 123_456, dt.UTC)),
    ],
)
def test_a_moment_is_read_to_utc(text: str, moment: dt.datetime) -> None:
    row = read(GOOD | {"at": text})
    assert (row.values["at"], row.reasons) == (moment, [])


@pytest.mark.parametrize(
    ("name", "value"), [("size", 0), ("size", 10), ("id", 1), ("id", 2**63 - 1), ("few", 4)]
)
def test_the_ends_of_a_range_belong_to_it(name: str, value: float) -> None:
    row = read(GOOD | {name: value})
    assert (row.values[name], row.reasons) == (value, [])
    assert isinstance(row.values["size"], float)  # a whole number is a double as well


def test_every_reason_is_given_in_the_order_of_the_columns() -> None:
    line = '{"at": 5, "size": 11, "few": 1, "few": 2, "done": null, "word": "a", "note": 1, "word": "b"}'
    assert read(line).reasons == [
        "few: field given twice",
        "word: field given twice",
        "id: missing",
        WRONG_TIME,
        "size: out of range",
        "few: not one of -3, 4",
        "done: null",
        "note: wrong type, string expected",
    ]


def test_a_field_given_twice_is_rejected_whatever_its_values_and_however_deep() -> None:
    twice = json.dumps(GOOD)[:-1] + ', "id": 7}'
    assert read(twice).reasons == ["id: field given twice"]
    assert read(with_text("note", '{"b": 1, "b": 1, "b": 2}')).reasons == [
        "b: field given twice",
        "note: wrong type, string expected",
    ]


def test_a_reason_is_text_whatever_the_fields_are_called() -> None:
    """Half a surrogate pair in a name would stop the stream for ever, since it cannot be stored."""
    line = json.dumps(GOOD)[:-1] + r', "\ud800": 1, "\ud800": 2}'
    assert [reason.encode() for reason in read(line).reasons] == [rb"\ud800: field given twice"]


def test_a_column_is_read_from_the_field_that_its_settings_name() -> None:
    columns = {
        "key": ColumnSettings(type="string", field="my-field"),
        "temp": ColumnSettings(type="double", field="sensor.temp"),
        "line_no": ColumnSettings(type="long", field="line"),
        "dotted": ColumnSettings(type="long", field=["sensor.temp"]),  # dots of its own
        "deep": ColumnSettings(type="long", nullable=True, field=["a", "b c", "Ä"]),
    }
    rules = LineRules(SourceSettings(table="thing", columns=columns), RULES.stream)
    line = {
        "my-field": "k",
        "sensor": {"temp": 1.5},
        "line": 3,
        "sensor.temp": 4,
        "a": {"b c": {"Ä": 5}},
    }
    values = {"key": "k", "temp": 1.5, "line_no": 3, "dotted": 4, "deep": 5}
    assert rules.read(json.dumps(line).encode(), LANDED) == Row(values, [])
    line = {
        "my-field": "k",
        "sensor": 7,
        "line": None,
        "a": {"b c": None},
    }  # on the way, what is no object
    assert rules.read(json.dumps(line).encode(), LANDED) == Row(
        dict.fromkeys(columns) | {"key": "k"}, ["temp: missing", "line_no: null", "dotted: missing"]
    )


def test_a_time_without_a_zone_is_in_the_zone_of_the_settings() -> None:
    stream = RULES.stream.model_copy(update={"time_zone": "Europe/Berlin"})
    rules = LineRules(RULES.source, stream)
    found = [
        rules.read(json.dumps(GOOD | {"at": text}).encode(), LANDED).values["at"]
        for text in ("2019-07-10T13:00:00", "2019-07-10T11:00:00Z")
    ]
    assert found == [dt.datetime(2019, 7, 10, 11, tzinfo=dt.UTC)] * 2


def test_a_case_counts() -> None:
    line = {("ID" if name == "id" else name): value for name, value in GOOD.items()}
    assert read(line).reasons == ["id: missing"]


def test_the_rules_come_from_the_yaml() -> None:
    model = load_model_settings("conf/glassware.yaml")
    line = {
        "pid": 0,
        "process_time": "2019-06-30T23:00:00Z",
        "temp": 1000.1,
        "pressure": -20.1,
        "duration": 121,
    }
    landed = BEGAN + dt.timedelta(days=1)
    assert LineRules(model.readings, model.stream).read(
        json.dumps(line).encode(), landed
    ).reasons == [
        "pid: out of range",
        "process_time: before the stream began",
        "temp: out of range",
        "pressure: out of range",
        "duration: out of range",
    ]
    label = {"pid": 1, "qualitycheck_time": "2019-07-02T00:05:01Z", "quality": 2}
    assert LineRules(model.labels, model.stream).read(
        json.dumps(label).encode(), landed
    ).reasons == [
        "qualitycheck_time: in the future",
        "quality: not one of 0, 1",
    ]
