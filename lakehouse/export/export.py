"""Exports a promoted version, once it is shown that the export calls each row the same."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime

from lakehouse.errors import ConfigurationError, RegistryError
from lakehouse.explain.rows import PlainRows
from lakehouse.explain.versions import PlainVersions, Version
from lakehouse.export.equality import Equality, compared, session_of
from lakehouse.export.graph import exported, missing_text, text_encoder
from lakehouse.models import Classification
from lakehouse.settings import EnvironmentSettings, ModelSettings

MODEL_FILE, REPORT_FILE = "model.onnx", "model.json"
MOST_ROWS = 100_000
"""Rows of the training that both models are asked about, at most."""


@dataclass(frozen=True)
class Export:
    """An exported version.

    Attributes:
        content: the ONNX file.
        report: what `model.json` holds.
    """

    content: bytes
    report: dict[str, Any]


def export(
    root: str, model: ModelSettings, environment: EnvironmentSettings, number: str | None
) -> Export:
    """A promoted version as ONNX, the champion where none is named.

    Raises:
        ConfigurationError: the model has a step that the exporter does not know.
        RegistryError: there is no such version, its file is gone or is another, or the export
            calls a row otherwise.
        StoreError: the rows of its training are gone.
    """
    versions = PlainVersions(root, model, environment)
    number = versions.named(number, versions.champion, "export")
    version = versions.version(number)
    features, problem = version.meaning.features, version.meaning.problem
    content = exported(version.pipeline, features, problem).SerializeToString(deterministic=True)
    training = PlainRows(root, model).background(version, MOST_ROWS)
    missing = _missing(version)
    session = session_of(content)
    equality = compared(version.pipeline, session, features, problem, training, missing.values())
    check_equality(equality, f"{model.name} version {number}")
    return Export(content, _report(model.name, version, content, equality, missing))


def check_equality(equality: Equality, version: str) -> None:
    """Check that no row is called otherwise.

    Raises:
        RegistryError: one is.
    """
    if equality.calls_that_differ:
        n_rows = equality.training_rows + equality.threshold_rows
        raise RegistryError(
            f"{version}: its export calls {equality.calls_that_differ} of {n_rows} rows otherwise, "
            f"by up to {equality.greatest_difference:.3g}; nothing was written"
        )


def write(result: Export, folder: str) -> list[Path]:
    """Write the export into a folder, the report last: where it is, the model is whole.

    Raises:
        ConfigurationError: the folder cannot be written.
    """
    place = Path(folder)
    document = json.dumps(result.report, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    paths = [place / MODEL_FILE, place / REPORT_FILE]
    try:
        place.mkdir(parents=True, exist_ok=True)
        paths[1].unlink(missing_ok=True)
        for path, content in zip(paths, (result.content, document.encode()), strict=True):
            half = path.with_suffix(f"{path.suffix}.part")
            half.write_bytes(content)
            os.replace(half, path)  # noqa: PTH105
    except OSError as error:
        raise ConfigurationError(
            f"--into {folder}: cannot be written ({error.strerror})"
        ) from error
    return paths


def _missing(version: Version) -> dict[str, str]:
    """For each text feature, the text that stands for a missing one."""
    encoder = text_encoder(version.pipeline)
    names = version.meaning.features.categorical
    return {name: missing_text(encoder, place) for place, name in enumerate(names) if encoder}


def _report(
    name: str, version: Version, content: bytes, equality: Equality, missing: dict[str, str]
) -> dict[str, Any]:
    features, problem = version.meaning.features, version.meaning.problem
    classes = list(problem.classes) if isinstance(problem, Classification) else None
    return {
        "model": name,
        "version": version.number,
        "family": type(version.pipeline[-1]).__name__,
        "features": {"numbers": list(features.numeric), "texts": list(features.categorical)},
        "missing": {"numbers": "NaN", "texts": missing},
        "classes": classes,
        "positive": problem.positive if isinstance(problem, Classification) else None,
        "skops_sha256": str(version.promotion["model_sha256"]),
        "onnx_sha256": hashlib.sha256(content).hexdigest(),
        "onnxruntime": onnxruntime.__version__,
        "equality": equality.as_json,
    }
