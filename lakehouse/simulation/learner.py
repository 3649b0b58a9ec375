"""The learner of the simulation: the production learner's first point, a pruned decision tree."""

from lakehouse.models import Classification, MatrixLearner, Problem, Trial

_CLASSES = Trial("", "decision_tree", {"ccp_alpha": 0.005})
"""The first point of the first family of conf/glassware.yaml, which candidates are compared by."""
_NUMBERS = Trial("", "decision_tree", {"max_leaf_nodes": 64, "min_samples_leaf": 5})
"""Of numbers, cost-complexity pruning depends on their unit; a bound on the leaves does not."""


def learner_for(problem: Problem) -> MatrixLearner:
    """Return what each training of a simulation fits."""
    trial = _CLASSES if isinstance(problem, Classification) else _NUMBERS
    return MatrixLearner(trial, problem, seed=0)
