"""Trees of a fitted pipeline as flat arrays: scikit-learn's answers to the bit, in less time."""

from lakehouse.models.flat.answers import Answering, answering
from lakehouse.models.flat.model import FlatModel
from lakehouse.models.flat.reading import flattened
from lakehouse.models.flat.trees import Tree, trees_of

__all__ = ["Answering", "FlatModel", "Tree", "answering", "flattened", "trees_of"]
