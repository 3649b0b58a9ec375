"""Answers in the forms of the two protocols: MLflow's scoring server, and V2. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from lakehouse.serving.answers import Answer, ServedVersion, prediction_type
from lakehouse.serving.refusals import RefusedRequestError
from lakehouse.settings import ModelSettings

_TENSOR_TYPES = {
    "double": "FP64",
    "long": "INT64",
    "integer": "INT32",
    "boolean": "BOOL",
    "string": "BYTES",
    "timestamp": "BYTES",
}


def versions_of(answers: Sequence[Answer]) -> list[str]:
    """The versions that gave answers, each once, in the order of their first rows."""
    return list(dict.fromkeys(answer.version for answer in answers))


def as_predictions(answers: Sequence[Answer], is_classification: bool) -> dict[str, Any]:
    """The answer to a request of MLflow's server; fields after the first are ours.

    `model_version` is null where rows were answered by several; `model_versions` has each row's.
    """
    document: dict[str, Any] = {"predictions": [answer.prediction for answer in answers]}
    if is_classification:
        document["score"] = [answer.score for answer in answers]
        document["probability"] = [answer.probability for answer in answers]
    versions = [answer.version for answer in answers]
    return document | {"model_version": _only(answers), "model_versions": versions}


def _only(answers: Sequence[Answer]) -> str | None:
    """The version that gave all answers; None where several did."""
    versions = versions_of(answers)
    return versions[0] if len(versions) == 1 else None


def tensors(model: ModelSettings, versions: Sequence[ServedVersion]) -> dict[str, Any]:
    """The inputs and outputs of the V2 protocol's metadata.

    Args:
        model: the settings.
        versions: that may answer.
    """
    columns = model.readings.columns
    inputs = [
        {"name": name, "datatype": _TENSOR_TYPES[columns[name].type], "shape": [-1]}
        for name in model.predictions.features
    ]
    outputs = [
        {"name": name, "datatype": datatype, "shape": [-1, *width]}
        for name, (datatype, width) in _output_tensors(model, _classes_of(versions)).items()
    ]
    return {"inputs": inputs, "outputs": outputs}


def as_tensors(
    answers: Sequence[Answer],
    model: ModelSettings,
    versions: Sequence[ServedVersion],
    outputs: Sequence[str],
    request_id: str | None,
) -> dict[str, Any]:
    """The answer to a request of the V2 protocol.

    Args:
        answers: to its rows.
        model: the settings.
        versions: that may answer.
        outputs: names of the tensors that are asked for; all without one.
        request_id: as the request has it.

    Raises:
        RefusedRequestError: it asks for an output that there is none of.
    """
    classes = _classes_of(versions)
    known = _output_tensors(model, classes)
    if any(name not in known for name in outputs):
        raise RefusedRequestError(f"outputs: write names among {', '.join(known)}")
    made = [
        {
            "name": name,
            "shape": [len(answers), *width],
            "datatype": datatype,
            "data": _data_of(name, answers, classes),
        }
        for name, (datatype, width) in known.items()
        if not outputs or name in outputs
    ]
    version = _only(answers)
    document = {"model_name": model.name} | ({"model_version": version} if version else {})
    return document | ({"id": request_id} if request_id else {}) | {"outputs": made}


def _classes_of(versions: Sequence[ServedVersion]) -> list[str]:
    """The classes that any of the versions knows."""
    return list(dict.fromkeys(name for version in versions for name in version.class_names))


def _output_tensors(
    model: ModelSettings, classes: Sequence[str]
) -> Mapping[str, tuple[str, list[int]]]:
    """Datatype and width of each output."""
    made: dict[str, tuple[str, list[int]]] = {
        "prediction": (_TENSOR_TYPES[prediction_type(model)], [])
    }
    if classes:
        made |= {"score": ("FP64", []), "probability": ("FP64", [len(classes)])}
    return made | {"model_version": ("BYTES", [])}


def _data_of(output: str, answers: Sequence[Answer], classes: Sequence[str]) -> list[Any]:
    if output == "model_version":
        return [answer.version for answer in answers]
    if output != "probability":
        return [getattr(answer, output) for answer in answers]
    # Data of more than one dimension is flat, in row-major order.
    return [(answer.probability or {}).get(name) for answer in answers for name in classes]
