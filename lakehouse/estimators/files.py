"""The file that a model is kept in: data, never code, and only of the types that our families need."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import skops.io
from sklearn.pipeline import Pipeline

from lakehouse.errors import RegistryError

TRUSTED_TYPES = (  # beyond skops' own defaults; a file with any other type is refused
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
)


def dump(model: Pipeline) -> bytes:
    """The model as a skops file: data, never code."""
    return skops.io.dumps(model)


def load(content: bytes, sha256: str) -> Pipeline:
    """The model of a skops file.

    Raises:
        RegistryError: its digest is not the recorded one, or it holds a type that is not on the list.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise RegistryError(
            f"model file: its SHA-256 is {found}, recorded is {sha256}; it was changed, and is not loaded"
        )
    unknown = sorted(set(skops.io.get_untrusted_types(data=content)) - set(TRUSTED_TYPES))
    if unknown:
        raise RegistryError(f"model file: it holds {', '.join(unknown)}, which may not be trusted; it is not loaded")
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
