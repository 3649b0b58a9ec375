"""A row that is asked about meets the rules of a landed line: the same values, the same reasons."""

import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.errors import ConfigurationError
from lakehouse.ingest.validation import LineRules
from lakehouse.serving.bodies import document_of, mlflow_rows
from lakehouse.serving.refusals import RefusedRequestError
from lakehouse.serving.rows import RowRules
from lakehouse.settings import ModelSettings
from tests.support.served import FEATURES, MODEL, READING
from tests.support.small_model import model_of

NOW = dt.datetime(2024, 3, 2, tzinfo=dt.UTC)
RULES = RowRules(MODEL)


def line_rules(model: ModelSettings) -> LineRules:
    return LineRules(model.readings, model.stream, model.modelled)


def reasons_of(row: dict, rules: RowRules = RULES) -> list[str]:
    try:
        rules.read([row], NOW)
    except RefusedRequestError as error:
        return list(error.rows[0])
    return []


WRONG = {
    "pid": [0, -1, 1.5, "7", None, True, 2**63],
    "process_time": ["2019-06-30T23:59:59Z", "2024-03-02T00:06:00Z", "soon", 1709287200, None],
    "temp": [-0.1, 1000.1, "352", None, True, float("nan"), float("inf"), "NaN", [1.0], {}],
    "pressure": [-21, 61, 1e39],
    "duration": [-1, 121],
}
EACH = [(name, value) for name, values in WRONG.items() for value in values]


@pytest.mark.parametrize(("name", "value"), EACH, ids=str)
def test_each_broken_rule_is_told_in_the_words_of_quarantine(name, value):
    row = {**READING, name: value}
    landed = line_rules(MODEL).read(json.dumps(row).encode(), NOW)
    assert landed.reasons
    assert reasons_of(document_of(json.dumps(row).encode())) == landed.reasons


def test_every_reason_of_every_row_is_told():
    rows = [READING, {**READING, "temp": -1, "pressure": None}, {"pid": 8}]
    with pytest.raises(RefusedRequestError) as refused:
        RULES.read(rows, NOW)
    assert refused.value.rows == {
        1: ["temp: out of range", "pressure: null"],
        2: [
            "process_time: missing",
            "temp: missing",
            "pressure: missing",
            "duration: missing",
        ],
    }


numbers = st.one_of(
    st.floats(), st.integers(-(2**70), 2**70), st.none(), st.booleans(), st.text(max_size=3)
)
texts = st.one_of(st.none(), st.text(max_size=3), st.just("2024-03-01T10:00Z"), st.integers())


@given(
    st.fixed_dictionaries({}, optional={**dict.fromkeys(READING, numbers), "process_time": texts})
)
def test_any_reading_has_the_values_and_the_reasons_of_its_line(row):
    row = {"pid": 1, **row}
    body = json.dumps(row).encode()
    landed = line_rules(MODEL).read(body, NOW)
    try:
        (read,) = RULES.read([document_of(body)], NOW)
    except RefusedRequestError as error:
        assert list(error.rows[0]) == landed.reasons
    else:
        assert not landed.reasons
        assert dict(read.values) == landed.values
        again = line_rules(MODEL).read(RULES.line(read, {"version": "1"}).rstrip(b"\n"), NOW)
        assert (again.values, again.reasons) == (landed.values, [])


def test_a_row_without_key_and_event_time_needs_its_features_alone_and_does_not_land():
    (read,) = RULES.read([FEATURES], NOW)
    assert not read.is_reading
    assert reasons_of({"temp": 352.0}) == ["pressure: missing", "duration: missing"]


def test_a_row_with_a_key_or_an_event_time_must_be_a_whole_reading():
    assert reasons_of({**FEATURES, "pid": 7}) == ["process_time: missing"]
    assert reasons_of({**FEATURES, "process_time": "2024-03-01T10:00Z"}) == ["pid: missing"]


def nested(settings):
    settings["readings"]["columns"]["x"]["field"] = "sensor.x"
    settings["readings"]["columns"]["z"]["field"] = ["sensor", "z.mean"]


def test_a_landed_line_has_values_where_lines_have_them():
    model = model_of(nested)
    rules = RowRules(model)
    row = {"id": 1, "at": "2024-03-01T10:00:00Z", "x": 0.1, "z": 2}
    (read,) = rules.read([row], NOW)
    line = rules.line(read, {"version": "3"})
    assert json.loads(line) == {
        "id": 1,
        "at": "2024-03-01T10:00:00Z",
        "sensor": {"x": 0.1, "z.mean": 2},
        "_served": {"version": "3"},
    }
    assert line_rules(model).read(line.rstrip(b"\n"), NOW).values == read.values


def test_a_column_that_is_read_from_the_mark_of_an_answer_is_a_setting_to_change():
    def read_mark(settings):
        settings["readings"]["columns"]["x"]["field"] = "_served.x"

    with pytest.raises(ConfigurationError, match=r"readings\.columns\.x\.field"):
        RowRules(model_of(read_mark))


def test_a_refused_row_is_told_without_its_values():
    rows = mlflow_rows({"dataframe_records": [{**READING, "temp": 123456.75}]}, ())
    with pytest.raises(RefusedRequestError) as refused:
        RULES.read(rows, NOW)
    assert "123456" not in f"{refused.value.message}{refused.value.rows}"
