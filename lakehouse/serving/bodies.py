"""Bodies of requests to rows: MLflow's four formats, and the tensors of the V2 protocol. Pure.

A row is the values by column, as they were given: `rows.py` checks them. MLflow's formats are those
of its scoring server; V2 is the Open Inference Protocol.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from lakehouse.ingest.validation import DUPLICATE_FIELD, MALFORMED, exact_json, repeated
from lakehouse.serving.refusals import RefusedRequestError

Row: TypeAlias = Mapping[str, Any]
MOST_ROWS = 1_000
"""Rows of a request; more belong into a batch."""
LARGEST_BODY = 2**20
"""Bytes of a request's body."""
_FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")


@dataclass(frozen=True)
class Tensors:
    """A request of the V2 protocol.

    Attributes:
        id: of the request, which the answer repeats; None without one.
        rows: its rows.
        outputs: the tensors that are asked for; empty for all.
    """

    id: str | None
    rows: Sequence[Row]
    outputs: tuple[str, ...]


def document_of(body: bytes) -> dict[str, Any]:
    """The JSON object of a body.

    Raises:
        RefusedRequestError: it is none, or an object in it gives a field twice.
    """
    twice: list[str] = []
    try:
        document = exact_json(body.decode("utf-8"), twice)
    except (ValueError, RecursionError):
        raise RefusedRequestError(f"{MALFORMED}; send a JSON object in UTF-8") from None
    if not isinstance(document, dict):
        raise RefusedRequestError(f"{MALFORMED}: not an object; send a JSON object")
    if twice:
        raise RefusedRequestError("; ".join(repeated(twice)))
    return document


def mlflow_rows(document: Mapping[str, Any], features: Sequence[str]) -> Sequence[Row]:
    """The rows of a body of MLflow's scoring server.

    Args:
        document: the body.
        features: the columns of rows that name none, in their order.

    Raises:
        RefusedRequestError: it has none of the four formats, or more than one, or no rows.
    """
    given = [name for name in _FORMATS if name in document]
    strange = [name for name in document if name not in (*_FORMATS, "params")]
    if len(given) != 1 or strange:
        raise RefusedRequestError(f"send an object with one field of {', '.join(_FORMATS)}")
    if document.get("params"):
        raise RefusedRequestError("params: leave it out; the model takes none")
    (name,) = given
    readers: dict[str, Callable[[Any, Sequence[str]], Sequence[Row]]] = {
        "dataframe_split": _of_split,
        "dataframe_records": _of_records,
        "instances": _of_instances,
        "inputs": _of_inputs,
    }
    return _counted(readers[name](document[name], features), name)


def _of_split(given: Any, features: Sequence[str]) -> Sequence[Row]:
    """`{"columns": [...], "data": [[...], ...]}`, as pandas writes it."""
    if not isinstance(given, dict) or not isinstance(given.get("data"), list):
        raise RefusedRequestError("dataframe_split: write an object with `columns` and `data`")
    columns = given.get("columns", list(features))
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise RefusedRequestError("dataframe_split.columns: write a list of names")
    if len(set(columns)) < len(columns):
        raise RefusedRequestError(f"dataframe_split.columns: {DUPLICATE_FIELD}")
    return [_named(values, columns, "dataframe_split.data") for values in given["data"]]


def _of_records(given: Any, _: Sequence[str]) -> Sequence[Row]:
    """`[{column: value, ...}, ...]`."""
    if not isinstance(given, list) or not all(isinstance(row, dict) for row in given):
        raise RefusedRequestError("dataframe_records: write a list of objects")
    return given


def _of_instances(given: Any, features: Sequence[str]) -> Sequence[Row]:
    """Row by row: objects, or lists of the features' values in their order."""
    if not isinstance(given, list):
        raise RefusedRequestError("instances: write a list of rows")
    return [row if isinstance(row, dict) else _named(row, features, "instances") for row in given]


def _of_inputs(given: Any, features: Sequence[str]) -> Sequence[Row]:
    """Column by column; or as `instances`."""
    if not isinstance(given, dict):
        return _of_instances(given, features)
    if not given:
        return []
    columns = {name: _flat_column(values) for name, values in given.items()}
    lengths = {len(values) for values in columns.values()}
    if len(lengths) > 1:
        raise RefusedRequestError("inputs: write as many values for each column")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _flat_column(values: Any) -> list[Any]:
    """A column of a value for each row: one value is a row, `[[1], [2]]` is `[1, 2]`."""
    if not isinstance(values, list):
        return [values]
    return [value[0] if isinstance(value, list) and len(value) == 1 else value for value in values]


def _named(values: Any, columns: Sequence[str], where: str) -> Row:
    if not isinstance(values, list) or len(values) != len(columns):
        raise RefusedRequestError(f"{where}: write {len(columns)} values for each row")
    return dict(zip(columns, values, strict=True))


def _counted(rows: Sequence[Row], where: str) -> Sequence[Row]:
    if not rows:
        raise RefusedRequestError(f"{where}: there is no row; send one or more")
    if len(rows) > MOST_ROWS:
        raise RefusedRequestError(f"{where}: more than {MOST_ROWS} rows; send them in parts")
    return rows


def tensors_of(document: Mapping[str, Any], features: Sequence[str]) -> Tensors:
    """The rows of a request of the V2 protocol.

    Its inputs are a tensor for each column (n, or n × 1), or one tensor of all features (n × their
    number) whose name is none of them. Data may be nested, or flat in row-major order.

    Raises:
        RefusedRequestError: it is no such request.
    """
    inputs, request_id = document.get("inputs"), document.get("id")
    if not isinstance(inputs, list) or not all(map(_is_tensor, inputs)):
        raise RefusedRequestError("inputs: write tensors with `name`, `shape`, `datatype`, `data`")
    if request_id is not None and not isinstance(request_id, str):
        raise RefusedRequestError("id: write text")
    names = [tensor["name"] for tensor in inputs]
    if len(set(names)) < len(names):
        raise RefusedRequestError(f"inputs: {DUPLICATE_FIELD}")
    if len(inputs) == 1 and len(inputs[0]["shape"]) == 2 and names[0] not in features:
        rows = _of_matrix(inputs[0], features)
    else:
        rows = _of_inputs({tensor["name"]: _column_of(tensor) for tensor in inputs}, features)
    return Tensors(request_id, _counted(rows, "inputs"), _outputs_of(document))


def _is_tensor(given: Any) -> bool:
    if not isinstance(given, dict):
        return False
    name, shape, data = (given.get(part) for part in ("name", "shape", "data"))
    is_shape = isinstance(shape, list) and all(
        isinstance(length, int) and not isinstance(length, bool) and length >= 0 for length in shape
    )
    return is_shape and isinstance(name, str) and isinstance(data, list)


def _column_of(tensor: Mapping[str, Any]) -> list[Any]:
    shape, values = tensor["shape"], _flattened(tensor["data"])
    if len(shape) not in (1, 2) or shape[1:] not in ([], [1]) or len(values) != shape[0]:
        raise RefusedRequestError("inputs: write each column with the shape [rows] or [rows, 1]")
    return values


def _of_matrix(tensor: Mapping[str, Any], features: Sequence[str]) -> Sequence[Row]:
    (rows, width), values = tensor["shape"], _flattened(tensor["data"])
    if width != len(features) or len(values) != rows * width:
        raise RefusedRequestError(
            f"inputs: write a tensor for each column, or one of [rows, {len(features)}]"
        )
    parts = (values[start : start + width] for start in range(0, len(values), width))
    return [dict(zip(features, part, strict=True)) for part in parts]


def _flattened(data: Sequence[Any]) -> list[Any]:
    values: list[Any] = []
    for value in data:
        values += value if isinstance(value, list) else [value]
    return values


def _outputs_of(document: Mapping[str, Any]) -> tuple[str, ...]:
    outputs = document.get("outputs", [])
    if not isinstance(outputs, list) or not all(
        isinstance(output, dict) and isinstance(output.get("name"), str) for output in outputs
    ):
        raise RefusedRequestError("outputs: write a list of objects with a `name`")
    return tuple(output["name"] for output in outputs)
