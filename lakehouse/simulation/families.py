"""Streams whose rules are no boxes: other shapes of rules, and the ways in which they change.

The generators of river come from the extra `streams`: Montiel et al., JMLR 22 (2021).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from lakehouse.errors import ConfigurationError
from lakehouse.models import Classification, Problem, Regression
from lakehouse.retraining.policy.candidates.choice import Model
from lakehouse.retraining.policy.records import Rows

Drawn = tuple[np.ndarray, np.ndarray]
Draw = Callable[[int, int, int], Drawn]
"""Features and labels of so many rows, by seed, number of the concept, and number of rows."""
COURSES = ("stable", "abrupt", "gradual", "recurring")
_START = np.datetime64("2026-01-01", "us")
_DAY = np.timedelta64(1, "D")
_US_A_DAY = 86_400_000_000


@dataclass(frozen=True)
class Shape:
    """How a stream of a family runs.

    Attributes:
        family: one of `FAMILIES`, or of `MOVING`.
        course: one of `COURSES`; "moving" of a family whose rule never stands still.
        a_day: rows a day.
        days: how long it runs.
        delay: days from the end of a row's day to its label.
        noise: share of labels that say another class, 0–1.
    """

    family: str
    course: str
    a_day: int = 192
    days: int = 60
    delay: int = 1
    noise: float = 0.0

    def __str__(self) -> str:
        return f"{self.family} {self.course}, {self.a_day} a day, +{self.delay} d, {self.noise:.0%}"


@dataclass(frozen=True)
class FamilyStream:
    """A stream of a family; a `Plant` whose true rule nobody asks for."""

    rows: Rows

    def accuracy(self, model: Model, row: int) -> float:
        """NaN: rows are counted, not rules."""
        return float("nan")


def family_stream(shape: Shape, seed: int) -> FamilyStream:
    """Return the run of a shape with a seed.

    Raises:
        ConfigurationError: there is no such family or course.
    """
    draw = FAMILIES.get(shape.family) or MOVING.get(shape.family)
    if draw is None:
        known = ", ".join([*FAMILIES, *MOVING])
        raise ConfigurationError(f"family: {shape.family!r} is not known; write one of {known}")
    rows = shape.a_day * shape.days
    concepts = _concepts(shape, rows, np.random.default_rng((seed, 1)))
    drawn = [draw(seed, number, rows) for number in range(int(concepts.max()) + 1)]
    features = np.stack([each[0] for each in drawn])[concepts, np.arange(rows)]
    labels = np.stack([each[1] for each in drawn])[concepts, np.arange(rows)]
    return FamilyStream(_rows(shape, features, labels, np.random.default_rng((seed, 2))))


def _concepts(shape: Shape, rows: int, rng: np.random.Generator) -> np.ndarray:
    """Return which concept each row follows."""
    passed = np.arange(rows) / rows
    if shape.course in ("stable", "moving"):
        return np.zeros(rows, dtype=int)
    if shape.course == "abrupt":
        return np.digitize(passed, [0.4, 0.7])
    if shape.course == "recurring":
        return np.digitize(passed, [0.3, 0.5, 0.7, 0.85]) % 2
    if shape.course == "gradual":  # rows of the new concept come ever more often
        return (rng.random(rows) < np.clip((passed - 0.35) / 0.4, 0, 1)).astype(int)
    raise ConfigurationError(
        f"course: {shape.course!r} is not known; write one of {', '.join(COURSES)}, moving"
    )


def _rows(shape: Shape, features: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> Rows:
    event_time = _START + (np.arange(len(labels)) * _US_A_DAY // shape.a_day).astype(
        "timedelta64[us]"
    )
    midnight = event_time.astype("datetime64[D]").astype("datetime64[us]") + _DAY
    problem, coded = _problem(labels)
    if isinstance(problem, Classification):
        turned = (coded + rng.integers(1, len(problem.classes), len(coded))) % len(problem.classes)
        coded = np.where(rng.random(len(coded)) < shape.noise, turned, coded)
    names = tuple(f"x{number}" for number in range(features.shape[1]))
    return Rows(names, features, coded, event_time, midnight + shape.delay * _DAY, problem)


def _problem(labels: np.ndarray) -> tuple[Problem, np.ndarray]:
    """Return the problem and its targets: fractions are numbers, all else is classes."""
    if labels.dtype.kind == "f":
        return Regression(tolerance=float(labels.std()) / 2), labels
    classes, codes = np.unique(labels, return_inverse=True)
    return Classification(tuple(range(len(classes))), 1), codes.astype(np.int64)


def _weights(seed: int, concept: int, features: int) -> np.ndarray:
    """Return the direction of a rule, of length one."""
    direction = np.random.default_rng((seed, 3, concept)).normal(size=features)
    return direction / np.linalg.norm(direction)


def _readings(seed: int, concept: int, rows: int, features: int) -> np.ndarray:
    return np.random.default_rng((seed, 4, concept)).normal(size=(rows, features))


def _oblique(seed: int, concept: int, rows: int) -> Drawn:
    features = _readings(seed, concept, rows, 3)
    return features, (features @ _weights(seed, concept, 3) > 0).astype(int)


def _chances(seed: int, concept: int, rows: int) -> Drawn:
    """A rule of class probabilities: logistic, with a slope of three."""
    features = _readings(seed, concept, rows, 4)
    positive = 1 / (1 + np.exp(-3 * features @ _weights(seed, concept, 4)))
    drawn = np.random.default_rng((seed, 5, concept)).random(rows)
    return features, (drawn < positive).astype(int)


def _three_classes(seed: int, concept: int, rows: int) -> Drawn:
    """The class of the nearest of six centres, two of each class."""
    centres = np.random.default_rng((seed, 3, concept)).normal(size=(3, 2, 2))
    features = _readings(seed, concept, rows, 2)
    distances = np.square(features[:, np.newaxis, np.newaxis] - centres).sum(axis=-1)
    return features, distances.min(axis=2).argmin(axis=1)


def _ten_features(seed: int, concept: int, rows: int) -> Drawn:
    """Seven of ten features say nothing."""
    features = _readings(seed, concept, rows, 10)
    score = features[:, :3] @ _weights(seed, concept, 3) + features[:, 0] * features[:, 1] / 2
    return features, (score > 0).astype(int)


def _rare_class(seed: int, concept: int, rows: int) -> Drawn:
    """One row in twenty is of class 1."""
    features = _readings(seed, concept, rows, 3)
    return features, (features @ _weights(seed, concept, 3) > 1.645).astype(int)


def _linear(seed: int, concept: int, rows: int) -> Drawn:
    features = _readings(seed, concept, rows, 4)
    noise = features[:, 3]
    return features[:, :3], features[:, :3] @ _weights(seed, concept, 3) + 0.2 * noise


def _moving_slope(seed: int, _: int, rows: int) -> Drawn:
    """A slope that makes half a turn in the whole stream."""
    features = _readings(seed, 0, rows, 4)
    angle = np.pi * np.arange(rows)[:, np.newaxis] / rows + np.array([0, 2, 4])
    return features[:, :3], (features[:, :3] * np.cos(angle)).sum(axis=1) + 0.2 * features[:, 3]


def _river(name: str, settings: Callable[[int, int], Mapping[str, Any]]) -> Draw:
    """Return what draws from a generator of river, which is imported where it is used."""
    return partial(_of_river, name, settings)


def _of_river(
    name: str, settings: Callable[[int, int], Mapping[str, Any]], seed: int, concept: int, rows: int
) -> Drawn:
    try:
        from river.datasets import synth
    except ImportError:
        raise ConfigurationError(
            "this family needs river, which is not installed: "
            "pip install 'glassware-lakehouse[streams]'"
        ) from None
    stream = getattr(synth, name)(**settings(seed, concept))
    pairs = list(islice(stream, rows))
    features = np.array([list(each.values()) for each, _ in pairs], dtype=float)
    return features, np.array([label for _, label in pairs])


def _permuted(draw: Draw) -> Draw:
    """Return what draws with the features in another order for each concept."""
    return partial(_in_another_order, draw)


def _in_another_order(draw: Draw, seed: int, concept: int, rows: int) -> Drawn:
    features, labels = draw(seed * 10 + concept, 0, rows)
    order = np.arange(features.shape[1])
    if concept:
        order = np.random.default_rng((seed, 3, concept)).permutation(order)
    return features[:, order], labels


def _still(seed: int, concept: int) -> Mapping[str, Any]:
    return {"seed": seed * 10 + concept, "n_features": 5, "n_drift_features": 0, "mag_change": 0.0}


FAMILIES: Mapping[str, Draw] = {
    "oblique": _oblique,
    "chances": _chances,
    "three_classes": _three_classes,
    "ten_features": _ten_features,
    "rare_class": _rare_class,
    "hyperplane": _river("Hyperplane", _still),
    "sea": _river("SEA", lambda seed, k: {"variant": (seed + k) % 4, "seed": seed * 10 + k}),
    "agrawal": _river(
        "Agrawal",
        lambda seed, k: {"classification_function": (seed + 3 * k) % 10, "seed": seed * 10 + k},
    ),
    "led": _permuted(_river("LED", lambda seed, _: {"seed": seed, "noise_percentage": 0.1})),
    "rbf": _river(
        "RandomRBF",
        lambda seed, k: {
            "seed_model": seed * 10 + k,
            "seed_sample": seed,
            "n_features": 4,
            "n_centroids": 15,
        },
    ),
    "linear": _linear,
    "friedman": _permuted(_river("Friedman", lambda seed, _: {"seed": seed})),
}
"""Families whose rule changes as the course says."""

MOVING: Mapping[str, Draw] = {
    "turning_hyperplane": _river(
        "Hyperplane",
        lambda seed, _: {
            "seed": seed,
            "n_features": 5,
            "n_drift_features": 5,
            "mag_change": 0.001,
        },
    ),
    "drifting_rbf": _river(
        "RandomRBFDrift",
        lambda seed, _: {
            "seed_model": seed,
            "seed_sample": seed,
            "n_features": 4,
            "n_centroids": 15,
            "n_drift_centroids": 10,
            "change_speed": 0.0005,
        },
    ),
    "moving_slope": _moving_slope,
}
"""Families whose rule never stands still."""

SHAPES: tuple[Shape, ...] = (
    *(
        Shape(family, course, *rate, delay, noise)
        for place, family in enumerate(FAMILIES)
        for course, rate, delay, noise in (
            ("stable", (48, 90), (1, 5)[place % 2], (0.0, 0.05, 0.1)[place % 3]),
            ("abrupt", (192, 60), 1, (0.05, 0.1, 0.0)[place % 3]),
            ("gradual", ((192, 60), (48, 90))[place % 2], 1, 0.0),
            ("recurring", ((48, 90), (192, 60))[place % 2], (5, 1)[place % 2], 0.0),
        )
    ),
    *(Shape(family, "moving", *rate) for family in MOVING for rate in ((192, 60), (48, 90))),
)
"""What policies are compared on: each family in each course, at both rates, delays and noises."""
