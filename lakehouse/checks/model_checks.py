"""Tests of a model by itself: what is said of it, its file, its answers at the ends of columns."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from lakehouse.checks.check import Check, demanding
from lakehouse.errors import RegistryError
from lakehouse.models import Classification, Features, Problem, dump, example_places, load
from lakehouse.models.trials import LARGEST_FLOAT32
from lakehouse.settings import ModelSettings

LEAST_DESCRIPTION = 20
"""Characters that a description has more of."""
_ASKED_ALONE = 25
_EXAMPLE_ROWS = 5
_ROUNDING = 1e-9
_UNKNOWN_TEXT = "a text that no training had"


@dataclass(frozen=True)
class Subject:
    """A model to be tested.

    Attributes:
        pipeline: fitted.
        features: that it reads.
        problem: that it solves.
        rows: of its training, as `features.frame` gives them; at least one.
        milliseconds: it takes for a thousand rows; None where that was not measured.
    """

    pipeline: Pipeline
    features: Features
    problem: Problem
    rows: pd.DataFrame
    milliseconds: float | None = None

    def outputs(self, rows: pd.DataFrame) -> np.ndarray:
        """What the model says of rows."""
        return self.problem.outputs(self.pipeline, rows)


def model_checks(subject: Subject, model: ModelSettings) -> tuple[Check, ...]:
    """Every test of a model by itself.

    Args:
        subject: the model.
        model: whose settings say what is demanded, and which values a column may have.
    """
    content, limits = dump(subject.pipeline), model.policy.checks
    with threadpool_limits(1):  # threads of a few rows cost more than the rows
        answered = (
            _round_trip(subject, content),
            _determinism(subject),
            _robustness(subject, model),
        )
    found = [
        _description(model.description),
        _owner(model.owner),
        *answered,
        _size(len(content), limits.largest_bytes),
        _latency(subject.milliseconds, limits.milliseconds_per_thousand),
    ]
    return demanding(found, limits.demanded)


def _description(text: str) -> Check:
    length = len(text.strip())
    passed = length > LEAST_DESCRIPTION
    words = f"`description` has {length} characters, more than {LEAST_DESCRIPTION} needed"
    return Check("description", passed, words, float(length), float(LEAST_DESCRIPTION))


def _owner(owner: str) -> Check:
    passed = bool(owner.strip())
    return Check("owner", passed, f"`owner` is {owner.strip()}" if passed else "`owner` is empty")


def _round_trip(subject: Subject, content: bytes) -> Check:
    """The file, loaded again, answers example rows that went through JSON as the model does."""
    places = example_places(subject.rows, _EXAMPLE_ROWS)
    example = subject.rows.iloc[places].reset_index(drop=True)
    records = example.astype(object).where(example.notna(), None).to_dict("records")
    sent = json.loads(json.dumps(records, default=_plain))
    again = subject.features.frame(pd.DataFrame(sent, columns=list(example.columns)))
    try:
        loaded = load(content, hashlib.sha256(content).hexdigest())
    except RegistryError as error:
        return Check("round_trip", False, str(error))
    expected = subject.outputs(example)
    differ = _differing(subject.problem.outputs(loaded, again), expected)
    words = f"file and JSON change {differ} of {len(example)} example rows"
    return Check("round_trip", differ == 0, words, float(differ), 0.0)


def _determinism(subject: Subject) -> Check:
    """The same rows give the same bits again; in another order, and each alone, the same but for
    rounding: a product of matrices may be summed in another order.
    """
    rows = subject.rows
    first = subject.outputs(rows)
    turned = subject.outputs(rows.iloc[::-1])[::-1]
    differ = max(_differing(subject.outputs(rows), first), _apart(turned, first))
    places = np.linspace(0, len(rows) - 1, min(_ASKED_ALONE, len(rows))).astype(int)
    alone = np.concatenate([subject.outputs(rows.iloc[[place]]) for place in places])
    differ = max(differ, _apart(alone, first[places]))
    words = f"{differ} of {len(rows)} rows are answered otherwise a second time"
    return Check("determinism", differ == 0, words, float(differ), 0.0)


def _robustness(subject: Subject, model: ModelSettings) -> Check:
    """A row at each limit of each column, and without its value, has an answer that makes sense."""
    cases = list(_cases(subject.features, model))
    strange = []
    for name, changes in cases:
        row = subject.rows.iloc[[0]].reset_index(drop=True).astype(object)
        for column, value in changes.items():
            row[column] = pd.Series([value], dtype=object)
        try:
            makes_sense = _makes_sense(
                subject.outputs(subject.features.frame(row)), subject.problem
            )
        except (ValueError, TypeError, FloatingPointError):
            makes_sense = False
        strange += [] if makes_sense else [name]
    words = f"{len(strange)} of {len(cases)} rows at the limits of columns have no sensible answer"
    words += f", such as {strange[0]}" if strange else ""
    return Check("robustness", not strange, words, float(len(strange)), 0.0)


def _cases(features: Features, model: ModelSettings) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Rows by name: what of an example row is changed, and to what."""
    columns = model.readings.columns
    for name in features.numeric:
        rule = columns.get(name)
        low = -LARGEST_FLOAT32 if rule is None or rule.min is None else rule.min
        high = LARGEST_FLOAT32 if rule is None or rule.max is None else rule.max
        yield f"{name} at {low:g}", {name: low}
        yield f"{name} at {high:g}", {name: high}
        yield f"{name} without a value", {name: None}
    for name in features.categorical:
        rule = columns.get(name)
        for value in rule.values or () if rule else ():
            yield f"{name} {value}", {name: value}
        yield f"{name} with an unknown text", {name: _UNKNOWN_TEXT}
        yield f"{name} without a value", {name: None}
    yield "no column with a value", dict.fromkeys(features.names)


def _makes_sense(outputs: np.ndarray, problem: Problem) -> bool:
    """Whether numbers are finite, and probabilities are ones."""
    if not np.isfinite(outputs).all():
        return False
    if not isinstance(problem, Classification):
        return True
    in_range = ((outputs >= -_ROUNDING) & (outputs <= 1 + _ROUNDING)).all()
    return bool(in_range and np.allclose(outputs.sum(axis=1), 1.0, atol=_ROUNDING))


def _size(n_bytes: int, limit: int) -> Check:
    words = f"the file has {n_bytes:,} bytes, {limit:,} allowed"
    return Check("size", n_bytes <= limit, words, float(n_bytes), float(limit))


def _latency(milliseconds: float | None, limit: float | None) -> Check:
    """The time is on record only where it is too long: the same rows give the same record."""
    if limit is None:
        return Check("latency", True, "no limit is set")
    if milliseconds is None:
        return Check("latency", False, "the time to score was not measured", None, limit)
    if milliseconds > limit:
        words = f"it takes {milliseconds:.1f} ms for a thousand rows, {limit:g} ms allowed"
        return Check("latency", False, words, round(milliseconds, 3), limit)
    return Check("latency", True, f"within {limit:g} ms for a thousand rows", None, limit)


def _differing(one: np.ndarray, other: np.ndarray) -> int:
    """Rows of which one number is not the very same."""
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    return int((~same.reshape(len(same), -1).all(axis=1)).sum())


def _apart(one: np.ndarray, other: np.ndarray) -> int:
    """Rows of which one number differs by more than rounding."""
    same = np.isclose(one, other, rtol=_ROUNDING, atol=_ROUNDING, equal_nan=True)
    return int((~same.reshape(len(same), -1).all(axis=1)).sum())


def _plain(value: Any) -> Any:
    return value.item()
