"""The file of a model: data, never code, and only of the types that our families need."""

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from zipfile import ZipFile, ZipInfo

import skops.io
from sklearn.pipeline import Pipeline

from lakehouse.errors import RegistryError

TRUSTED_TYPES = (  # beyond skops' own defaults; a file with any other type is refused
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
)
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
    ids, waiting = count(), [schema]
    new_ids: dict[int, int] = {}
    names: dict[str, str] = {}
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if isinstance(node.get(_ID), int):
                node[_ID] = new_ids.setdefault(node[_ID], next(ids))
            if isinstance(node.get("file"), str):
                node["file"] = names.setdefault(node["file"], f"{next(ids)}.npy")
            waiting += reversed(node.values())
        elif isinstance(node, list):
            waiting += reversed(node)
    return names


def load(content: bytes, sha256: str) -> Pipeline:
    """The model of a skops file.

    Raises:
        RegistryError: its digest is not the recorded one, or it holds a type that is not trusted.
    """
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise RegistryError(
            f"model file: its SHA-256 is {digest}, recorded is {sha256}; it was changed, and is "
            "not loaded"
        )
    unknown = sorted(set(skops.io.get_untrusted_types(data=content)) - set(TRUSTED_TYPES))
    if unknown:
        raise RegistryError(
            f"model file: it holds {', '.join(unknown)}, which may not be trusted; it is not loaded"
        )
    return skops.io.loads(content, trusted=list(TRUSTED_TYPES))


@dataclass
class ModelCache:
    """The models of one Python process, each loaded once."""

    models: dict[str, Pipeline] = field(default_factory=dict)
    loads: int = 0

    def get(self, sha256: str, content: Callable[[], bytes]) -> Pipeline:
        """The model of this digest; `content` is asked for its file only the first time."""
        if sha256 not in self.models:
            self.models[sha256] = load(content(), sha256)
            self.loads += 1
        return self.models[sha256]


WORKER_CACHE = ModelCache()
