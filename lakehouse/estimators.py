"""The model families, their grids, how one is fitted and cross-fitted, and the only types a model file may hold."""

import hashlib
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from lakehouse.errors import ConfigurationError, RegistryError

TRUSTED_TYPES = (  # beyond skops' own defaults; a file with any other type is refused
    "numpy.dtype",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.link.MultinomialLogit",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn._loss.loss.HalfMultinomialLoss",
    "sklearn.compose._column_transformer._RemainderColsList",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
)
_FAMILIES: dict[str, Callable[..., Any]] = {
    "decision_tree": DecisionTreeClassifier,
    "random_forest": RandomForestClassifier,
    "hist_gradient_boosting": HistGradientBoostingClassifier,
    "logistic_regression": LogisticRegression,
}


@dataclass(frozen=True)
class Trial:
    """One thing to try: a family with one point of its grid, on the rows of one candidate window."""

    window: str
    family: str
    parameters: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Unique among the trials of one training."""
        return f"{self.window} {self.family} {json.dumps(dict(self.parameters), sort_keys=True)}"


@dataclass(frozen=True)
class Features:
    """The columns that a model reads, in its order; text and booleans are encoded, numbers are taken as they are."""

    numeric: tuple[str, ...]
    categorical: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """All of them, in the order in which the model is fitted."""
        return [*self.numeric, *self.categorical]


@dataclass(frozen=True)
class TrainingSet:
    """The labelled rows that all trials of one training share.

    Attributes:
        rows: at least the feature columns.
        codes: class code of each row.
        windows: for each candidate window, the mask of the rows that it takes.
        judged: mask of the rows that trials are compared on; part of every window.
    """

    features: Features
    n_classes: int
    rows: pd.DataFrame
    codes: np.ndarray
    windows: Mapping[str, np.ndarray]
    judged: np.ndarray
    folds: int
    seed: int


@dataclass(frozen=True)
class CrossFit:
    """What a trial predicts for the judged rows, each by a model that was not fitted on it.

    Attributes:
        probabilities: judged rows × classes.
        accuracy: share predicted right.
        log_loss: mean negative log probability of the true class, nats.
    """

    probabilities: np.ndarray
    accuracy: float
    log_loss: float


def grid(windows: Sequence[str], families: Mapping[Any, Mapping[str, Sequence[Any]]]) -> list[Trial]:
    """Every point of every family's grid on every window, in the order of the settings."""
    return [
        Trial(window, family, dict(zip(axes, point, strict=True)))
        for window in windows
        for family, axes in families.items()
        for point in itertools.product(*axes.values())
    ]


def fit(trial: Trial, data: TrainingSet, left_out: np.ndarray | None = None) -> Pipeline:
    """The trial's pipeline, fitted to the rows of its window but for those left out (positions).

    Raises:
        ConfigurationError: the family does not take one of the parameters.
    """
    kept = data.windows[trial.window].copy()
    if left_out is not None:
        kept[left_out] = False
    return _build(trial, data.features, data.seed).fit(data.rows.loc[kept, data.features.names], data.codes[kept])


def probabilities(model: Pipeline, rows: pd.DataFrame, n_classes: int) -> np.ndarray:
    """Rows × classes; a class that the model never saw has probability zero."""
    found = model.predict_proba(rows)
    if found.shape[1] == n_classes:
        return found
    full = np.zeros((len(rows), n_classes))
    full[:, model.classes_] = found
    return full


def cross_fit(trial: Trial, data: TrainingSet) -> CrossFit | None:
    """Out-of-fold predictions of the judged rows, stratified by class.

    Returns:
        None where fewer than two classes are judged, or one of them on a single row.
    """
    places = np.flatnonzero(data.judged)
    codes = data.codes[places]
    sizes = np.unique(codes, return_counts=True)[1]
    if len(sizes) < 2 or sizes.min() < 2:
        return None
    found = np.zeros((len(places), data.n_classes))
    splitter = StratifiedKFold(min(data.folds, int(sizes.min())), shuffle=True, random_state=data.seed)
    for _, out in splitter.split(places, codes):
        model = fit(trial, data, left_out=places[out])
        found[out] = probabilities(model, data.rows.iloc[places[out]][data.features.names], data.n_classes)
    return CrossFit(found, *_quality(found, codes))


def check_families(families: Mapping[Any, Mapping[str, Sequence[Any]]]) -> None:
    """Whether every point of every grid is one that its family takes.

    Raises:
        ConfigurationError: a parameter is unknown, or has an impossible value.
    """
    for trial in grid([""], families):
        try:
            _estimator(trial, seed=0)._validate_params()
        except ValueError as error:  # scikit-learn's InvalidParameterError says what to write
            raise ConfigurationError(f"training.families.{trial.family}: {error}") from error


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


def _build(trial: Trial, features: Features, seed: int) -> Pipeline:
    scaled = trial.family == "logistic_regression"
    return make_pipeline(_encoder(features, scaled), _estimator(trial, seed))


def _estimator(trial: Trial, seed: int) -> Any:
    parameters = dict(trial.parameters)
    known = _FAMILIES[trial.family]().get_params()
    wrong = [name for name in parameters if name not in known]
    if wrong:
        known_names = ", ".join(sorted(known))
        raise ConfigurationError(
            f"training.families.{trial.family}: {wrong[0]} is not known; write one of {known_names}"
        )
    return _FAMILIES[trial.family](**{"random_state": seed, **parameters})


def _encoder(features: Features, scaled: bool) -> ColumnTransformer:
    number = (
        make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
        if scaled
        else SimpleImputer(strategy="median", keep_empty_features=True)
    )
    text = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    steps = [("number", number, list(features.numeric)), ("text", text, list(features.categorical))]
    return ColumnTransformer([step for step in steps if step[2]], verbose_feature_names_out=False)


def _quality(found: np.ndarray, codes: np.ndarray) -> tuple[float, float]:
    true = np.clip(found[np.arange(len(codes)), codes], np.finfo(float).eps, 1.0)
    return float((found.argmax(axis=1) == codes).mean()), float(-np.log(true).mean())


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
