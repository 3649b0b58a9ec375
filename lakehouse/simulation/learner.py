"""The learner of the simulation: the production learner's first point, a pruned decision tree."""

from collections import OrderedDict
from hashlib import blake2b

import numpy as np

from lakehouse.models import Classification, MatrixLearner, Problem, Trial
from lakehouse.retraining.policy.candidates.choice import Learner, Model

_CLASSES = Trial("", "decision_tree", {"ccp_alpha": 0.005})
"""The first point of the first family of conf/glassware.yaml, which candidates are compared by."""
_NUMBERS = Trial("", "decision_tree", {"max_leaf_nodes": 64, "min_samples_leaf": 5})
"""Of numbers, cost-complexity pruning depends on their unit; a bound on the leaves does not."""
_KEPT = 1_024
"""Models that are remembered: those of all habits over 256 days, some 10 MB of trees."""


class RememberingLearner:
    """Fits each set of rows once: the nights that habits are judged by come again at each training,
    and a fit is the same each time.
    """

    def __init__(self, learner: Learner) -> None:
        """Remember nothing yet."""
        self._learner = learner
        self._models: OrderedDict[bytes, Model] = OrderedDict()

    def __call__(self, features: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> Model:
        """See `Learner`."""
        digest = blake2b(digest_size=16)
        for each in (features, labels, weights):
            digest.update(np.ascontiguousarray(each).data)
        key = digest.digest()
        model = self._models.pop(key, None) or self._learner(features, labels, weights)
        self._models[key] = model
        if len(self._models) > _KEPT:
            self._models.popitem(last=False)
        return model


def learner_for(problem: Problem) -> Learner:
    """Return what each training of a simulation fits."""
    trial = _CLASSES if isinstance(problem, Classification) else _NUMBERS
    return RememberingLearner(MatrixLearner(trial, problem, seed=0))
