"""The job on tables on disk, without Spark: a version in, a file and its report out, or nothing."""

import hashlib
import json
import sys

import numpy as np
import pytest

from jobs import export as export_job
from lakehouse.errors import ConfigurationError, RegistryError
from lakehouse.explain.rows import PlainRows
from lakehouse.explain.versions import PlainVersions
from lakehouse.export import equality
from lakehouse.export.equality import session_of
from lakehouse.tables import catalog_of
from tests.explain.test_job import ENVIRONMENT, MODEL, written
from tests.support import plain_delta


@pytest.fixture
def root(tmp_path):
    """Two versions; the second is the champion."""
    return written(tmp_path / "lakehouse", MODEL)


def run(root, folder, *words):
    export_job.main(["--root", str(root), "--into", str(folder), *words])
    report = json.loads((folder / "model.json").read_text())
    return (folder / "model.onnx").read_bytes(), report


def test_the_champion_comes_with_a_report_of_digests_features_classes_and_equality(root, tmp_path):
    content, report = run(root, tmp_path / "edge")
    version = PlainVersions(str(root), MODEL, ENVIRONMENT).version("2")
    assert report["version"] == "2"
    assert report["onnx_sha256"] == hashlib.sha256(content).hexdigest()
    assert report["skops_sha256"] == version.promotion["model_sha256"]
    assert report["features"] == {"numbers": ["temp", "pressure", "duration"], "texts": []}
    assert (report["classes"], report["positive"]) == ([0, 1], 1)
    asked = report["equality"]
    assert (asked["training_rows"], asked["calls_that_differ"]) == (250, 0)
    assert asked["threshold_rows"] > 15


def test_the_file_answers_as_the_version_does(root, tmp_path):
    content, report = run(root, tmp_path / "edge", "--version", "1")
    version = PlainVersions(str(root), MODEL, ENVIRONMENT).version("1")
    rows = PlainRows(str(root), MODEL).background(version)
    given = {"numbers": rows[report["features"]["numbers"]].to_numpy(np.float64)}
    predicted, probabilities = session_of(content).run(["prediction", "probabilities"], given)
    expected = version.meaning.problem.outputs(version.pipeline, rows)
    assert np.array_equal(probabilities, expected)
    assert np.array_equal(predicted, expected.argmax(axis=1))


def test_an_export_that_differs_is_not_written(root, tmp_path, monkeypatch):
    real = equality.answers_of

    def one_call_turned(*given):
        predicted, outputs = real(*given)
        return np.where(np.arange(len(predicted)) == 7, 1 - predicted, predicted), outputs

    monkeypatch.setattr(equality, "answers_of", one_call_turned)
    with pytest.raises(RegistryError, match="calls 1 of"):
        run(root, tmp_path / "edge")
    assert not (tmp_path / "edge").exists()


def test_a_version_that_was_never_promoted_is_not_exported(root, tmp_path):
    with pytest.raises(RegistryError, match="was never promoted here"):
        run(root, tmp_path / "edge", "--version", "7")


def test_without_a_champion_and_without_a_name_there_is_nothing_to_export(tmp_path):
    plain_delta.create(tmp_path, catalog_of(MODEL).promotion)
    with pytest.raises(RegistryError, match="has no version yet; there is nothing to export"):
        run(tmp_path, tmp_path / "edge")


def test_a_report_of_before_is_gone_before_another_model_is_there(root, tmp_path, monkeypatch):
    """A run that is cut off leaves no report beside a file that it is not of."""
    run(root, tmp_path / "edge")

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        run(root, tmp_path / "edge", "--version", "1")
    assert not (tmp_path / "edge/model.json").exists()


def test_without_onnx_the_job_says_what_to_install(root, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("lakehouse.export")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'glassware-lakehouse\[export\]'"):
        run(root, tmp_path / "edge")
