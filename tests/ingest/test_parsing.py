"""Blocks of lines come to exactly what the exact rules make of each line."""

import datetime as dt
import json
import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.ingest.parsing import BlockParser
from lakehouse.ingest.validation import LineRules
from lakehouse.settings import ColumnSettings, SourceSettings, StreamSettings

LANDED = dt.datetime(2019, 7, 10, 12, tzinfo=dt.UTC)
COLUMNS = {
    "id": ColumnSettings(type="long", min=1),
    "at": ColumnSettings(type="timestamp"),
    "size": ColumnSettings(type="double", min=0, max=1e300),
    "free": ColumnSettings(type="double", nullable=True),
    "few": ColumnSettings(type="integer", values=(-3, 4)),
    "small": ColumnSettings(type="integer", nullable=True),
    "done": ColumnSettings(type="boolean", nullable=True),
    "word": ColumnSettings(type="string"),
    "kind": ColumnSettings(type="string", values=("a", "é"), nullable=True),
    "deep": ColumnSettings(type="double", nullable=True, field="sensor.temp"),
    "dotted": ColumnSettings(type="string", nullable=True, field=["a.b"]),
}
GOOD: dict[str, Any] = {
    "id": 7,
    "at": "2019-07-10T11:00:00Z",
    "size": 1.5,
    "free": -0.0,
    "few": -3,
    "small": None,
    "done": True,
    "word": "aé😀",
    "kind": "é",
    "sensor": {"temp": 20.5},
    "a.b": "x",
}


def rules(time_zone: str = "UTC") -> LineRules:
    stream = StreamSettings(began=dt.datetime(2019, 7, 1, tzinfo=dt.UTC), time_zone=time_zone)
    return LineRules(SourceSettings(table="thing", columns=COLUMNS), stream, frozenset({"free"}))


def assert_same(lines: list[bytes], time_zone: str = "UTC") -> list[list[str]]:
    """Reads the lines by both ways, asserts that they agree in values, types and reasons, and
    returns the reasons.
    """
    exact = [rules(time_zone).read(line, LANDED) for line in lines]
    parsed = BlockParser(rules(time_zone)).parse(
        lines, pa.array([LANDED] * len(lines), pa.timestamp("us", "UTC"))
    )
    assert parsed.reasons.to_pylist() == [row.reasons for row in exact]
    for name, column in parsed.columns.items():
        expected = [row.values[name] for row in exact]
        assert [(type(value), value, sign(value)) for value in column.to_pylist()] == [
            (type(value), value, sign(value)) for value in expected
        ], name
    return [row.reasons for row in exact]


def sign(value: Any) -> float:
    """Tells minus zero from zero."""
    return math.copysign(1, value) if isinstance(value, float) else 0


NUMBERS = [
    *["0", "-0", "1.0", "-0.0", "1e0", "7.000", "1e3", "1E400", "-1e400", "NaN", "Infinity", "1.5"],
    *[
        "3.4028235e38",
        "3.4028236e38",
        "1e39",
        "1e-400",
        "4.9e-324",
        "9007199254740993",
        "9007199254740993.0",
    ],
    *[
        "9007199254740992.5",
        "2147483647",
        "2147483648",
        "-2147483648",
        "-2147483649",
        "9223372036854775807",
    ],
    *[
        "9223372036854775808",
        "-9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
    ],
    *[
        "18446744073709551616",
        "1" + "0" * 400,
        "9223372036854775807.0",
        "9223372036854775808.0",
        "01",
        "+1",
    ],
    *[
        "1.",
        ".5",
        "0x1",
        "7.000000000000000000000001",
        "1e-99999999999999999999",
        "1_000",
        "123456789012345678901234",
    ],
]
TIMES = [
    *["2019-07-10T11:00:00Z", "2019-07-10t11:00:00z", "2019-07-10 11:00:00.123456789+02:00"],
    *["2019-07-10T11:00:00+02", "2019-07-10T11:00", "2019-07-10T11:00:00", "2019-07-10T11:00:00.5"],
    *[
        "20190710T110000Z",
        "2019-07-10",
        "2019-W28-3T11",
        "2019-02-29T00:00:00Z",
        "2020-02-29T00:00:00Z",
    ],
    *["2019-04-31T00:00:00Z", "2019-07-31T00:00:00Z", "9999-12-31T24:00Z", "2019-06-30T23:59:60Z"],
    *["2019-07-10T23:59:60Z", "2019-07-10T11:00:00-00:00", "2019-07-10T11:00:00+24:00"],
    *["0001-01-01T00:00:00+01:00", "2019-07-10T12:05:00.000001Z", "2019-07-10T12:05:00Z"],
    *["2019-06-30T23:59:59.9999999Z", "2019-07-01T00:00:00Z", "２０１９-07-10T11:00:00Z"],
    *["1969-12-31T23:59:59.9999999Z", "2019-03-31T02:30:00", "2019-07-10T11:00:00,5Z"],
    *["2019-07-10T11:00:00 Z", ""],
]
TEXTS = [
    *[
        "",
        "a",
        "é",
        "\\u00e9",
        "\\ud83d\\ude00",
        "\\ud800",
        "\\n",
        '\\"',
        "\\\\",
        "\\/",
        "\x01",
        "\x7f",
    ],
    *["NaN", " inf "],
]
VALUES = [
    *[
        "null",
        "true",
        "false",
        "[]",
        "{}",
        "[7]",
        '{"temp": 1}',
        '{"temp": "x"}',
        '{"temp": null}',
        '{"t": 1, "t": 2}',
    ],
    *NUMBERS,
    *(f'"{text}"' for text in (*TIMES, *TEXTS)),
]
NAMES = [*GOOD, "extra", "ID", "\\u0069d", "", "sensor.temp", "\\ud800"]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
fields = st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES) | json_values.map(json.dumps))


@st.composite
def written(draw: st.DrawFn) -> bytes:
    """A good line with some of its fields written otherwise, others added, left out, repeated or
    moved.
    """
    parts = {name: json.dumps(value, ensure_ascii=False) for name, value in GOOD.items()}
    changed = draw(st.lists(fields, max_size=3))
    pairs = [
        (name, text)
        for name, text in parts.items()
        if name not in dict(changed) or draw(st.booleans())
    ]
    pairs = draw(st.permutations([*pairs, *changed])) if draw(st.booleans()) else [*pairs, *changed]
    pairs = pairs[: draw(st.integers(0, len(pairs)))] if draw(st.booleans()) else pairs
    space = draw(st.sampled_from(["", " ", "\t", "\r"]))
    text = f",{space}".join(f'"{name}":{space}{value}' for name, value in pairs)
    return (draw(st.sampled_from(["", " ", "\ufeff"])) + "{" + text + "}" + space).encode()


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Such a line after an accident to its bytes: cut, doubled, overwritten, or with something put
    in.
    """
    line = draw(written())
    place, end = sorted(draw(st.tuples(st.integers(0, len(line)), st.integers(0, len(line)))))
    put_in = draw(
        st.sampled_from(
            [b"", b"\xff", b"\x00", b'"', b"\\", b",", b"}", b"{}", b"1", b"\xed\xa0\x80"]
        )
    )
    return draw(
        st.sampled_from(
            [
                line[:place],
                line[:end] + line[place:],
                line[:place] + put_in + line[end:],
                line + put_in,
            ]
        )
    )


@pytest.mark.slow
@settings(max_examples=400)
@given(st.lists(written() | mutated() | st.binary(max_size=40), min_size=1, max_size=12))
def test_random_and_mutated_lines_come_to_what_the_exact_rules_say(lines: list[bytes]) -> None:
    assert_same([line.replace(b"\n", b" ") for line in lines])


@pytest.mark.parametrize("time_zone", ["UTC", "Europe/Berlin"])
def test_each_value_in_each_column_comes_to_what_the_exact_rules_say(time_zone: str) -> None:
    """Every pair of a column and a strange value, in one block, with a good line between them."""
    parts = {name: json.dumps(value, ensure_ascii=False) for name, value in GOOD.items()}
    lines = []
    for name in GOOD:
        for value in VALUES:
            text = ",".join(
                f'"{each}":{value if each == name else part}' for each, part in parts.items()
            )
            lines += [f"{{{text}}}".encode(), json.dumps(GOOD, ensure_ascii=False).encode()]
    reasons = assert_same(lines, time_zone)
    assert not any(reasons[1::2])  # the good lines
    assert sum(map(bool, reasons[::2])) > len(VALUES) * len(GOOD) / 2


def test_a_plain_line_is_not_read_by_the_exact_rules() -> None:
    """Else the fast path would be right and useless."""
    good = json.dumps(GOOD, ensure_ascii=False).encode()
    line = GOOD | {"at": "2019-07-10T11:00:00.123456789", "extra": ["x", {"y": "z"}]}
    bare = json.dumps(line, ensure_ascii=False)
    parser = BlockParser(rules())
    object.__setattr__(parser.rules, "read", None)  # would raise when called
    parsed = parser.parse([good, bare.encode()], pa.array([LANDED] * 2, pa.timestamp("us", "UTC")))
    assert parsed.reasons.to_pylist() == [[], []]
