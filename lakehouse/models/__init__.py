"""What a model may be: its problem, how it is fitted and cross-fitted, its file."""

from lakehouse.models.meaning import Meaning
from lakehouse.models.model_file import (
    TRUSTED_TYPES,
    WORKER_CACHE,
    ModelCache,
    dump,
    load,
    reproducible,
)
from lakehouse.models.problems import (
    Classification,
    Problem,
    Regression,
    is_finite,
    probabilities,
    problem_of,
)
from lakehouse.models.trials import (
    CrossFit,
    Failed,
    Features,
    TrainingSet,
    Trial,
    check_families,
    difference_of,
    example_places,
    failure,
    features_of,
    flaw_of,
    grid,
)
from lakehouse.models.weighted import MatrixLearner, Weighting, cross_fit_weighted, fit_weighted

__all__ = [
    "TRUSTED_TYPES",
    "WORKER_CACHE",
    "Classification",
    "CrossFit",
    "Failed",
    "Features",
    "MatrixLearner",
    "Meaning",
    "ModelCache",
    "Problem",
    "Regression",
    "TrainingSet",
    "Trial",
    "Weighting",
    "check_families",
    "cross_fit_weighted",
    "difference_of",
    "dump",
    "example_places",
    "failure",
    "features_of",
    "fit_weighted",
    "flaw_of",
    "grid",
    "is_finite",
    "load",
    "probabilities",
    "problem_of",
    "reproducible",
]
