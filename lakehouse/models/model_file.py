"""The file of a model: data, never code, and only of the types that our families need."""

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from zipfile import BadZipFile, ZipFile, ZipInfo

import skops.io
from sklearn.pipeline import Pipeline

from lakehouse.errors import RegistryError
from lakehouse.models.newest import Newest

TRUSTED_TYPES = (  # those of ALLOWED_TYPES that are beyond skops' own defaults
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
)
_LINKS = ("IdentityLink", "Interval", "LogitLink", "MultinomialLogit")
_LOSSES = ("HalfBinomialLoss", "HalfMultinomialLoss", "HalfSquaredError")
ALLOWED_TYPES = frozenset(
    (
        *TRUSTED_TYPES,
        *(f"builtins.{name}" for name in ("bool", "dict", "float", "int", "list", "NoneType")),
        *(f"builtins.{name}" for name in ("slice", "str", "tuple")),
        *(f"numpy.{name}" for name in ("bool", "bool_", "float32", "float64", "int32", "int64")),
        *(f"numpy.{name}" for name in ("intp", "ndarray", "str_", "uint8", "uint32", "uint64")),
        "numpy.random._generator.Generator",
        "numpy.random.mtrand.RandomState",
        *(f"sklearn._loss.link.{name}" for name in _LINKS),
        *(f"sklearn._loss.loss.{name}" for name in _LOSSES),
        *(f"sklearn._loss._loss.Cy{name}" for name in _LOSSES),
        "sklearn.compose._column_transformer.ColumnTransformer",
        "sklearn.ensemble._forest.RandomForestClassifier",
        "sklearn.ensemble._forest.RandomForestRegressor",
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
        "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier",
        "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingRegressor",
        "sklearn.impute._base.SimpleImputer",
        "sklearn.linear_model._logistic.LogisticRegression",
        "sklearn.linear_model._ridge.Ridge",
        "sklearn.pipeline.Pipeline",
        "sklearn.preprocessing._data.StandardScaler",
        "sklearn.preprocessing._encoders.OneHotEncoder",
        "sklearn.preprocessing._encoders.OrdinalEncoder",
        "sklearn.preprocessing._label.LabelEncoder",
        "sklearn.tree._classes.DecisionTreeClassifier",
        "sklearn.tree._classes.DecisionTreeRegressor",
    )
)
"""All types that a file may name. skops would trust each estimator of scikit-learn by itself."""
_LOADERS = frozenset(
    f"{kind}Node"
    for kind in (
        *("DType", "Dict", "Json", "List", "Loss", "NdArray", "Object", "RandomGenerator"),
        *("RandomState", "Slice", "Tree", "Tuple", "Type"),
    )
)
"""skops' ways to make an object; those that call a function of the file's choice are left out."""
_SCHEMA, _ID = "schema.json", "__id__"


def dump(model: Pipeline) -> bytes:
    """The model as a skops file: data, never code."""
    return reproducible(skops.io.dumps(model))


def reproducible(content: bytes) -> bytes:
    """A skops file without addresses in memory and the time of writing.

    The same rows give the same model, and so the same file and digest.
    """
    with ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(members.pop(_SCHEMA))
    names = _renumber(schema)
    written = io.BytesIO()
    with ZipFile(written, "w") as archive:
        for name, number in names.items():
            archive.writestr(ZipInfo(number), members[name])  # as of 1980
        archive.writestr(ZipInfo(_SCHEMA), json.dumps(schema))
    return written.getvalue()


def _renumber(schema: Any) -> dict[str, str]:
    """Number a schema's objects in place of their addresses; return old and new file names."""
    ids = count()
    new_ids: dict[int, int] = {}
    names: dict[str, str] = {}
    for node in _nodes(schema):
        if isinstance(node.get(_ID), int):
            node[_ID] = new_ids.setdefault(node[_ID], next(ids))
        if isinstance(node.get("file"), str):
            node["file"] = names.setdefault(node["file"], f"{next(ids)}.npy")
    return names


def _nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """The objects of a schema, each before what it holds."""
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting += reversed(node.values())
        elif isinstance(node, list):
            waiting += reversed(node)


def load(content: bytes, sha256: str) -> Pipeline:
    """The model of a skops file.

    Raises:
        RegistryError: its digest is not the recorded one, it is no skops file, or it holds a type
            that is not trusted; nothing of it is loaded then.
    """
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise RegistryError(
            f"model file: its SHA-256 is {digest}, recorded is {sha256}; it was changed, and is "
            "not loaded"
        )
    unknown = sorted(_types_in(content) - ALLOWED_TYPES - _LOADERS)
    if unknown:
        raise RegistryError(
            f"model file: it holds {', '.join(unknown)}, which may not be trusted; it is not loaded"
        )
    try:
        model = skops.io.loads(content, trusted=list(TRUSTED_TYPES))
    # What a damaged file raises, whose digest is the recorded one, is of any kind.
    except Exception as error:
        raise RegistryError(
            f"model file: skops cannot read it ({type(error).__name__}); restore it, or roll back"
        ) from error
    if not isinstance(model, Pipeline):
        raise RegistryError(
            f"model file: it holds a {type(model).__name__}, no pipeline; it is not used"
        )
    return model


def _types_in(content: bytes) -> set[str]:
    """The names of all types that a skops file names, and of skops' ways to make them.

    Raises:
        RegistryError: it is no skops file.
    """
    try:
        with ZipFile(io.BytesIO(content)) as archive:
            schema = json.loads(archive.read(_SCHEMA))
    except (BadZipFile, KeyError, ValueError, RecursionError) as error:
        raise RegistryError(
            "model file: it is no skops file; a pickle or cloudpickle runs the code of whoever "
            "wrote it when it is loaded, so it is not loaded"
        ) from error
    found = [node for node in _nodes(schema) if "__class__" in node or "__loader__" in node]
    types = {f"{node.get('__module__')}.{node.get('__class__')}" for node in found}
    return types | {str(node.get("__loader__")) for node in found}


@dataclass
class ModelCache:
    """The models of one Python process, each loaded once while it is among the newest."""

    models: Newest[str, Pipeline] = field(default_factory=Newest)
    loads: int = 0

    def get(self, sha256: str, content: Callable[[], bytes]) -> Pipeline:
        """The model of this digest; `content` is asked for its file only the first time."""
        return self.loaded(sha256, lambda: load(content(), sha256))

    def loaded(self, sha256: str, model: Callable[[], Pipeline]) -> Pipeline:
        """The same, where `model` has loaded and verified it."""

        def counted() -> Pipeline:
            found = model()
            self.loads += 1
            return found

        return self.models.of(sha256, counted)


WORKER_CACHE = ModelCache()
