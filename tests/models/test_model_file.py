"""A model's file is loaded only as data, of the types that our families need; whoever alters it, or
writes one of another kind and its digest too, gets one sentence, and no code of theirs is run.
"""

import ast
import functools
import hashlib
import io
import json
import pickle
import re
from pathlib import Path
from typing import ClassVar
from zipfile import ZipFile

import cloudpickle
import joblib
import numpy as np
import pytest
import skops.io
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeClassifier

from lakehouse.errors import RegistryError
from lakehouse.models import dump, load

ROWS, CODES = np.array([[0.0], [1.0]]), [0, 1]
TREE = DecisionTreeClassifier().fit(ROWS, CODES)


class Malicious:
    """What runs code when a pickle of it is loaded."""

    ran: ClassVar[list[str]] = []

    def __reduce__(self):
        return Malicious.ran.append, ("it ran",)


def loaded(content: bytes) -> object:
    """Load a file whose digest is the recorded one: whoever wrote it wrote that, too."""
    return load(content, hashlib.sha256(content).hexdigest())


def joblib_file() -> bytes:
    written = io.BytesIO()
    joblib.dump(Malicious(), written)
    return written.getvalue()


def archive(**members: bytes) -> bytes:
    written = io.BytesIO()
    with ZipFile(written, "w") as file:
        for name, content in members.items():
            file.writestr(name.replace("__", "."), content)
    return written.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps(Malicious()),
        pickle.dumps(Malicious(), protocol=0),
        cloudpickle.dumps(Malicious()),
        joblib_file(),
        archive(data__pkl=pickle.dumps(Malicious())),
        archive(schema__json=pickle.dumps(Malicious())),
        archive(schema__json=b"[" * 100_000),
        b"",
        b"#!/bin/sh\n",
    ],
    ids=["pickle", "old pickle", "cloudpickle", "joblib", "torch", "schema", "deep", "empty", "sh"],
)
def test_what_is_no_skops_file_is_refused_with_the_reason_and_runs_nothing(content: bytes) -> None:
    says = (
        "model file: it is no skops file; a pickle or cloudpickle runs the code of whoever wrote "
        "it when it is loaded, so it is not loaded"
    )
    with pytest.raises(RegistryError, match=f"^{re.escape(says)}$"):
        loaded(content)
    assert Malicious.ran == []


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (make_pipeline(GaussianNB()), "sklearn.naive_bayes.GaussianNB"),  # skops would trust it
        (make_pipeline(FunctionTransformer(np.exp), TREE), "FunctionNode"),
        (make_pipeline(FunctionTransformer(functools.partial(np.add, 1)), TREE), "PartialNode"),
        (make_pipeline(FunctionTransformer(TREE.predict), TREE), "MethodNode"),
    ],
    ids=["estimator", "function", "partial", "method"],
)
def test_a_type_that_no_family_needs_and_a_call_are_refused_before_anything_is_loaded(
    model: object, names: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = skops.io.dumps(model)
    monkeypatch.setattr(skops.io, "loads", lambda *_, **__: pytest.fail("it was loaded"))
    with pytest.raises(RegistryError, match=rf"{names}.*may not be trusted; it is not loaded"):
        loaded(content)


def test_a_schema_that_hides_a_call_under_a_trusted_name_is_refused() -> None:
    call = {"__class__": "str", "__module__": "builtins", "__loader__": "OperatorFuncNode"}
    content = archive(schema__json=json.dumps({**call, "attrs": ["os.system"]}).encode())
    with pytest.raises(RegistryError, match="OperatorFuncNode, which may not be trusted"):
        loaded(content)


def test_an_altered_file_is_refused_before_anything_is_read_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = dump(make_pipeline(TREE))
    digest = hashlib.sha256(content).hexdigest()
    assert load(content, digest).predict(ROWS).tolist() == CODES
    monkeypatch.setattr("lakehouse.models.model_file.ZipFile", None)
    with pytest.raises(RegistryError, match="it was changed, and is not loaded"):
        load(content + b" ", digest)


def test_a_damaged_file_and_one_that_holds_no_pipeline_are_one_sentence() -> None:
    with ZipFile(io.BytesIO(dump(make_pipeline(TREE)))) as file:
        schema = file.read("schema.json")
    with pytest.raises(RegistryError, match=r"skops cannot read it \(KeyError\); restore it"):
        loaded(archive(schema__json=schema))
    with pytest.raises(RegistryError, match="it holds a DecisionTreeClassifier, no pipeline"):
        loaded(skops.io.dumps(TREE))


_LOADERS = {"pickle", "cloudpickle", "joblib", "dill", "shelve", "marshal"}


def test_no_module_but_one_loads_a_model_and_none_loads_a_pickle() -> None:
    for path in (*Path("lakehouse").rglob("*.py"), *Path("jobs").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in getattr(node, "names", ())]
            imported = {name.split(".")[0] for name in [*names, getattr(node, "module", "") or ""]}
            assert not (isinstance(node, ast.Import | ast.ImportFrom) and imported & _LOADERS), path
            if isinstance(node, ast.Import | ast.ImportFrom) and "skops" in imported:
                assert path == Path("lakehouse/models/model_file.py")
            called = getattr(getattr(node, "func", None), "attr", "")
            assert called not in ("load_model", "spark_udf", "get_unwrapped_model"), path
            if called == "load":  # numpy's would load a pickle
                assert not any(keyword.arg == "allow_pickle" for keyword in node.keywords), path
