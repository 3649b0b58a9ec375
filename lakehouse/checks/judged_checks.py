"""Tests of a model on labelled rows that it was not fitted on: its worst slice, and its cost."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from lakehouse.checks.check import Check, demanding
from lakehouse.models import Classification, Problem
from lakehouse.settings import CheckSettings, CostSettings

LEAST_ROWS = 30
"""Rows of a slice below which nothing is said of it."""
_DOUBT = 0.05


@dataclass(frozen=True)
class JudgedRows:
    """Labelled rows with what a model says of them.

    Attributes:
        problem: what is predicted.
        labels: targets of the rows.
        predictions: of the model.
        champion: predictions of the one in production; None before the first.
        slices: for each watched slice, the mask of the rows that lie in it.
    """

    problem: Problem
    labels: np.ndarray
    predictions: np.ndarray
    champion: np.ndarray | None
    slices: Mapping[str, np.ndarray]


def judged_checks(
    rows: JudgedRows, settings: CheckSettings, costs: CostSettings | None
) -> tuple[Check, ...]:
    """Every test on labelled rows.

    Args:
        rows: none of which the model was fitted on.
        settings: limits, and what is demanded.
        costs: of calls; None where none are set.
    """
    found = [_worst_slice(rows, settings.slice_fall), _cost(rows, costs)]
    return demanding(found, settings.demanded)


def costs_of(
    problem: Classification, costs: CostSettings, labels: np.ndarray, predictions: np.ndarray
) -> np.ndarray:
    """What each row's call costs.

    >>> settings = CostSettings.model_validate(
    ...     {"cells": [{"label": "bad", "predicted": "good", "cost": 40.0}]})
    >>> costs_of(Classification(("bad", "good"), "good"), settings,
    ...          np.array([0, 0, 1]), np.array([0, 1, 1])).tolist()
    [0.0, 40.0, 0.0]

    Args:
        problem: whose classes the codes are of.
        costs: the matrix.
        labels: codes.
        predictions: codes.
    """
    matrix = np.zeros((len(problem.classes), len(problem.classes)))
    for cell in costs.cells:
        # A class that the settings name, and the model does not, is called by nobody.
        if cell.label in problem.classes and cell.predicted in problem.classes:
            places = problem.classes.index(cell.label), problem.classes.index(cell.predicted)
            matrix[places] = cell.cost
    return matrix[labels, predictions]


def _worst_slice(rows: JudgedRows, fall: float) -> Check:
    """The slice that is right least often must not credibly lie more than the fall below all rows.

    Credibly: by the upper end of its one-sided 95 % interval (Clopper and Pearson 1934, Biometrika
    26, p. 404). A slice that is as good as all fails one time in twenty at most.
    """
    right = rows.problem.is_right(rows.predictions, rows.labels)
    large = {name: right[mask] for name, mask in rows.slices.items() if mask.sum() >= LEAST_ROWS}
    if not large:
        return Check("worst_slice", True, f"no watched slice has {LEAST_ROWS} of these rows")
    limit = float(right.mean()) - fall
    upper = {
        name: float(stats.beta.ppf(1 - _DOUBT, inside.sum() + 1, (~inside).sum()))
        for name, inside in large.items()
        if not inside.all()
    }
    name = min(large, key=lambda each: (large[each].mean(), each))
    below = sorted(each for each, bound in upper.items() if bound < limit)
    worst = min(below, key=lambda each: large[each].mean(), default=name)
    share = float(large[worst].mean())
    words = (
        f"in slice {worst} it is right on {share:.1%} of {len(large[worst])} rows, "
        f"{right.mean():.1%} of all; at least {limit:.1%} needed"
    )
    return Check("worst_slice", not below, words, share, limit)


def _cost(rows: JudgedRows, costs: CostSettings | None) -> Check:
    """Calls must not be credibly dearer than the champion's; the first model's, than the cheapest
    call for all rows.

    Credibly: by a one-sided paired t-test of the rows' costs at 5 %. A model that costs the same
    fails one time in twenty.
    """
    problem = rows.problem
    if costs is None or not isinstance(problem, Classification):
        return Check("cost", True, "no `costs` are set")
    if len(rows.labels) < 2:
        return Check("cost", True, "too few rows to compare costs on")
    own = costs_of(problem, costs, rows.labels, rows.predictions)
    other = _other_costs(rows, problem, costs)
    than = "the champion's" if rows.champion is not None else "the cheapest call for all rows"
    apart, spread = float((own - other).mean()), float((own - other).std(ddof=1))
    limit = float(other.mean())
    if spread == 0:
        is_dearer = apart > 0
    else:
        t = apart / (spread / math.sqrt(len(own)))
        is_dearer = bool(stats.t.sf(t, len(own) - 1) < _DOUBT)
    words = (
        f"its calls cost {own.mean():.4g} {costs.currency} a row, {than} {limit:.4g}, on "
        f"{len(own)} rows{': credibly dearer' if is_dearer else ''}"
    )
    return Check("cost", not is_dearer, words, float(own.mean()), limit)


def _other_costs(rows: JudgedRows, problem: Classification, costs: CostSettings) -> np.ndarray:
    if rows.champion is not None:
        return costs_of(problem, costs, rows.labels, rows.champion)
    constant = [
        costs_of(problem, costs, rows.labels, np.full_like(rows.labels, code))
        for code in range(len(problem.classes))
    ]
    return min(constant, key=lambda each: float(each.sum()))
