"""MLflow's four bodies and V2's tensors come to the same rows."""

import json
import math

import pytest

from lakehouse.serving.bodies import MOST_ROWS, document_of, mlflow_rows, tensors_of
from lakehouse.serving.refusals import RefusedRequestError

FEATURES = ("a", "b")
ROWS = [{"a": 1.5, "b": 2}, {"a": 3.25, "b": 4}]
SAME = {
    "dataframe_split": [
        {"columns": ["a", "b"], "data": [[1.5, 2], [3.25, 4]]},
        {"columns": ["b", "a"], "index": [0, 1], "data": [[2, 1.5], [4, 3.25]]},
        {"data": [[1.5, 2], [3.25, 4]]},
    ],
    "dataframe_records": [ROWS],
    "instances": [ROWS, [[1.5, 2], [3.25, 4]]],
    "inputs": [
        {"a": [1.5, 3.25], "b": [2, 4]},
        {"a": [[1.5], [3.25]], "b": [[2], [4]]},
        [[1.5, 2], [3.25, 4]],
        ROWS,
    ],
}


@pytest.mark.parametrize(
    "document", [{name: body} for name, bodies in SAME.items() for body in bodies], ids=str
)
def test_each_of_mlflows_bodies_gives_the_same_rows(document):
    assert [dict(row) for row in mlflow_rows(document, FEATURES)] == ROWS


def test_a_body_of_inputs_may_be_one_row():
    assert mlflow_rows({"inputs": {"a": 1.5, "b": 2}}, FEATURES) == ROWS[:1]


def column(name, data, shape=None, datatype="FP64"):
    return {"name": name, "shape": shape or [len(data)], "datatype": datatype, "data": data}


@pytest.mark.parametrize(
    "inputs",
    [
        [column("a", [1.5, 3.25]), column("b", [2, 4], datatype="INT64")],
        [column("a", [[1.5], [3.25]], [2, 1]), column("b", [2, 4], [2, 1])],
        [column("any", [1.5, 2, 3.25, 4], [2, 2])],
        [column("any", [[1.5, 2], [3.25, 4]], [2, 2])],
    ],
)
def test_tensors_of_columns_or_of_all_features_nested_or_flat_give_the_same_rows(inputs):
    asked = tensors_of({"id": "7", "inputs": inputs, "outputs": [{"name": "score"}]}, FEATURES)
    assert (asked.id, list(asked.rows), asked.outputs) == ("7", ROWS, ("score",))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff{}",
        b"[1]",
        b"{",
        b'{"instances": ' + b"[" * 100_000,
        b'{"dataframe_records": [{"a": 1, "a": 2}]}',
        *(
            json.dumps(document).encode()
            for document in (
                {},
                {"columns": ["a"], "data": [[1]]},
                {"instances": [[1, 2]], "inputs": [[1, 2]]},
                {"instances": [[1, 2]], "params": {"k": 1}},
                {"instances": []},
                {"instances": {}},
                {"instances": [[1]]},
                {"instances": [[1, 2]] * (MOST_ROWS + 1)},
                {"inputs": {}},
                {"inputs": {"a": [1, 2], "b": [3]}},
                {"dataframe_records": {"a": 1}},
                {"dataframe_records": [1]},
                {"dataframe_split": [[1, 2]]},
                {"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}},
                {"dataframe_split": {"columns": [1, 2], "data": [[1, 2]]}},
                {"dataframe_split": {"columns": ["a", "b"], "data": [[1]]}},
            )
        ),
    ],
)
def test_what_is_no_body_is_refused_in_a_sentence(body):
    with pytest.raises(RefusedRequestError) as refused:
        mlflow_rows(document_of(body), FEATURES)
    assert refused.value.status == 400
    assert refused.value.message


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"inputs": []},
        {"inputs": {"a": [1]}},
        {"inputs": [{"name": "a", "datatype": "FP64", "data": [1]}]},
        {"inputs": [column("a", [1], [True])]},
        {"inputs": [column("a", [1, 2], [3]), column("b", [1, 2])]},
        {"inputs": [column("a", [1]), column("a", [1])]},
        {"inputs": [column("x", [1, 2, 3], [1, 3])]},
        {"inputs": [column("a", [1])], "id": 7},
        {"inputs": [column("a", [1])], "outputs": ["score"]},
    ],
)
def test_what_is_no_request_of_v2_is_refused_in_a_sentence(document):
    with pytest.raises(RefusedRequestError):
        tensors_of(document, FEATURES)


def test_as_many_rows_as_are_allowed_are_taken():
    assert len(mlflow_rows({"instances": [[1, 2]] * MOST_ROWS}, FEATURES)) == MOST_ROWS


def test_numbers_come_as_the_stream_reads_them():
    document = document_of(b'{"instances": [[9007199254740993.0, 1e400], [NaN, 0.1]]}')
    (first, infinite), (missing, tenth) = document["instances"]
    assert (first, infinite, tenth) == (9007199254740993, float("inf"), 0.1)
    assert math.isnan(missing)
