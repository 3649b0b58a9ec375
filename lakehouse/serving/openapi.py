"""What the endpoint takes and answers, as an OpenAPI document and as a page. Pure."""

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from lakehouse.serving.answers import prediction_type
from lakehouse.settings import ColumnSettings, ModelSettings

_JSON_TYPES = {
    "double": "number",
    "long": "integer",
    "integer": "integer",
    "boolean": "boolean",
    "string": "string",
    "timestamp": "string",
}
_EXAMPLES = {"number": 1.5, "integer": 1, "boolean": True, "string": "text"}
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;"
    "color:#1c1c1c;background:#fff}code,pre{font:14px ui-monospace,monospace}"
    "pre{background:#f4f4f4;padding:.8rem;overflow:auto}h2 code{font-size:1.1rem}"
    "td,th{text-align:left;padding:.2rem 1rem .2rem 0;vertical-align:top}"
)


def openapi_of(model: ModelSettings, release: str) -> dict[str, Any]:
    """The document (OpenAPI 3.1) of a model's endpoint."""
    name = model.name
    return {
        "openapi": "3.1.0",
        "info": {
            "title": name,
            "version": release,
            "description": model.description or f"Predictions of {name}",
        },
        "components": {
            "schemas": {"Row": _row_schema(model), "Refusal": _REFUSAL},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "paths": {
            "/invocations": {"post": _invocations(model)},
            f"/v2/models/{name}/infer": {"post": _infer(model)},
            f"/v2/models/{name}": {
                "get": _get("What it takes, and the version that answers", True)
            },
            "/v2/health/ready": {"get": _get("Whether a version answers, and which")},
            "/v2/health/live": {"get": _get("Whether the process answers")},
            "/ping": {"get": _get("200 where a version answers, else 503")},
            "/version": {"get": _get("The release of the endpoint")},
            "/metrics": {"get": _get("Figures for Prometheus")},
            "/retrain": {"post": _retrain()},
        },
    }


_REFUSAL = {
    "type": "object",
    "properties": {
        "error": {"type": "string"},
        "error_code": {"type": "string"},
        "message": {"type": "string"},
        "rows": {
            "type": "array",
            "description": "each row that breaks a rule, with every rule that it breaks",
            "items": {
                "type": "object",
                "properties": {
                    "row": {"type": "integer"},
                    "reasons": {"type": "array", "items": {"type": "string"}},
                },
            },
        },
    },
}
_REFUSALS = {
    str(status): {
        "description": words,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}},
    }
    for status, words in {
        400: "the body is not of the format, or a row breaks a rule",
        401: "the token is missing or wrong",
        413: "the body is too large",
        415: "the body is not application/json",
        503: "no version answers yet, or the answer cannot be put on record",
    }.items()
}
_SECURED: dict[str, Any] = {"security": [{"token": []}]}
_TEXT: dict[str, Any] = {"type": "string"}
_VERSIONS = {
    "X-Model-Version": {
        "description": "the versions that answered, each once, with commas between them",
        "schema": _TEXT,
    }
}


def _post(
    summary: str,
    schema: Mapping[str, Any],
    examples: Mapping[str, Any],
    answers: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """A request with a JSON body.

    Args:
        summary: what it does.
        schema: of its body, an object.
        examples: bodies, by a name of each.
        answers: that no rule refuses, by their status.
    """
    named = {name: {"value": body} for name, body in examples.items()}
    content = {"application/json": {"schema": {"type": "object", **schema}, "examples": named}}
    return {
        "summary": summary,
        **_SECURED,
        "requestBody": {"required": True, "content": content},
        "responses": {**answers, **_REFUSALS},
    }


def _retrain() -> dict[str, Any]:
    return _post(
        "Leaves a request for a training, which the next night decides on",
        {"required": ["reason"], "properties": {"reason": _TEXT, "who": _TEXT}},
        {"request": {"reason": "the furnace was relined", "who": "shift lead"}},
        {"202": {"description": "the id of the request"}},
    )


def _row_schema(model: ModelSettings) -> dict[str, Any]:
    columns = model.readings.columns
    return {
        "type": "object",
        "description": (
            f"A row with `{model.key}` or `{model.event_time}` is a reading: it must be a whole "
            "one, and lands. A row with neither must have the features, and does not land."
        ),
        "required": [name for name in model.predictions.features if not columns[name].nullable],
        "properties": {name: _column_schema(column) for name, column in columns.items()},
    }


def _column_schema(column: ColumnSettings) -> dict[str, Any]:
    kind = _JSON_TYPES[column.type]
    rules = {
        "type": [kind, "null"] if column.nullable else kind,
        "format": "date-time" if column.type == "timestamp" else None,
        "minimum": column.min,
        "maximum": column.max,
        "enum": None if column.values is None else list(column.values),
        "description": column.comment or None,
    }
    return {name: value for name, value in rules.items() if value is not None}


def _example(model: ModelSettings) -> dict[str, Any]:
    return {name: _value(column) for name, column in model.readings.columns.items()}


def _value(column: ColumnSettings) -> Any:
    if column.values is not None:
        return column.values[0]
    if column.type == "timestamp":
        return "2024-03-01T10:00:00Z"
    if column.min is not None and column.max is not None:
        middle = (column.min + column.max) / 2
        return middle if column.type == "double" else int(middle)
    return _EXAMPLES[_JSON_TYPES[column.type]]


def _invocations(model: ModelSettings) -> dict[str, Any]:
    row = _example(model)
    features = {name: row[name] for name in model.predictions.features}
    bodies = {
        "dataframe_records": [row],
        "dataframe_split": {"columns": list(row), "data": [list(row.values())]},
        "instances": [list(features.values())],
        "inputs": {name: [value] for name, value in features.items()},
    }
    rows = {"type": "array", "items": {"$ref": "#/components/schemas/Row"}}
    formats = {
        "dataframe_records": rows,
        "dataframe_split": {"type": "object"},
        "instances": {"type": "array"},
        "inputs": {},
    }
    return _post(
        "Predictions, by the formats of MLflow's scoring server; send one of them",
        {"minProperties": 1, "maxProperties": 1, "properties": formats},
        {name: {name: body} for name, body in bodies.items()},
        {"200": _predictions(model)},
    )


def _predictions(model: ModelSettings) -> dict[str, Any]:
    """The answer to `/invocations`."""
    kind = _JSON_TYPES[prediction_type(model)]
    fields = {
        "predictions": _list_of({"type": [kind, "null"]}, "null where an output is not finite"),
        "model_version": {
            "type": ["string", "null"],
            "description": "the version that answered; null where a rollout had rows answered by "
            "two",
        },
        "model_versions": _list_of(_TEXT, "the version that answered each row"),
        "request_id": _TEXT,
    }
    if not model.is_regression:
        number = {"type": ["number", "null"]}
        parts = {"type": ["object", "null"], "additionalProperties": {"type": "number"}}
        fields |= {"score": _list_of(number), "probability": _list_of(parts, "of each class")}
    schema = {"type": "object", "properties": fields}
    return {
        "description": "`predictions`, and in `model_versions` the version of each, in the order "
        "of the rows",
        "headers": _VERSIONS,
        "content": {"application/json": {"schema": schema}},
    }


def _list_of(items: Mapping[str, Any], words: str = "") -> dict[str, Any]:
    return {"type": "array", "items": items} | ({"description": words} if words else {})


def _infer(model: ModelSettings) -> dict[str, Any]:
    row, columns = _example(model), model.readings.columns
    datatypes = {"number": "FP64", "integer": "INT64", "boolean": "BOOL", "string": "BYTES"}
    inputs = [
        {
            "name": name,
            "shape": [1],
            "datatype": datatypes[_JSON_TYPES[columns[name].type]],
            "data": [row[name]],
        }
        for name in model.predictions.features
    ]
    return _post(
        "Predictions, by the Open Inference Protocol (V2)",
        {"required": ["inputs"]},
        {"tensors": {"id": "1", "inputs": inputs}},
        {
            "200": {
                "description": "`outputs`, a tensor for each; `model_version` among them has the "
                "version of each row, beside the field where one version answered all"
            }
        },
    )


def _get(words: str, is_secured: bool = False) -> dict[str, Any]:
    operation = {"summary": words, "responses": {"200": {"description": "its answer"}}}
    return operation | (_SECURED if is_secured else {})


def as_page(document: Mapping[str, Any]) -> str:
    """The document as one HTML page, without scripts and without a look elsewhere."""
    info = document["info"]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        f"<title>{escape(info['title'])}</title><style>{_STYLE}</style>",
        f"<h1>{escape(info['title'])}</h1><p>{escape(info['description'])}</p>",
        "<p>The same for machines: <a href=openapi.json>openapi.json</a>.</p>",
        _columns_table(document["components"]["schemas"]["Row"]),
    ]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parts.append(_operation(f"{method.upper()} {path}", operation))
    return "\n".join([*parts, "</html>"])


def _columns_table(schema: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code><td>{escape(_rules_in_words(column))}"
        f"<td>{escape(str(column.get('description', '')))}"
        for name, column in schema["properties"].items()
    )
    words = escape(schema["description"]).replace("`", "")
    return f"<h2>A row</h2><p>{words}</p><table><tr><th>column<th>rules<th>{rows}</table>"


def _rules_in_words(column: Mapping[str, Any]) -> str:
    rules = [f"{name}: {value}" for name, value in column.items() if name != "description"]
    return ", ".join(rules)


def _operation(title: str, operation: Mapping[str, Any]) -> str:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    examples = [each["value"] for each in body.get("examples", {}).values()]
    shown = "".join(f"<pre>{escape(json.dumps(each))}</pre>" for each in examples)
    codes = ", ".join(
        f"{code}: {response['description']}" for code, response in operation["responses"].items()
    )
    token = "<p>It asks for the token.</p>" if "security" in operation else ""
    return (
        f"<h2><code>{escape(title)}</code></h2><p>{escape(operation['summary'])}.</p>{token}"
        f"{shown}<p>{escape(codes)}</p>"
    )
