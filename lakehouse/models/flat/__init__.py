"""Trees of a fitted pipeline as flat arrays: scikit-learn's answers to the bit, in less time."""

from lakehouse.models.flat.answers import Answering, answering
from lakehouse.models.flat.model import FlatModel
from lakehouse.models.flat.reading import flattened

__all__ = ["Answering", "FlatModel", "answering", "flattened"]
