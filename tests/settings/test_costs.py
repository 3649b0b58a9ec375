"""A cost matrix: what it says, what it becomes, and what is refused."""

from typing import Any

import pytest

from lakehouse.settings import COST_METRIC
from lakehouse.settings.costs import with_cost_metric
from tests.support.small_model import Settings, model_of, settings_of

CELLS = [
    {"predicted": "ok", "label": "broken", "cost": 40},
    {"predicted": "broken", "label": "ok", "cost": 2.5},
]


def with_costs(cells: list[dict[str, Any]]) -> Any:
    def change(settings: Settings) -> None:
        settings["costs"] = {"currency": "EUR", "cells": cells}

    return change


def test_a_cost_matrix_becomes_a_metric_of_every_window() -> None:
    model = model_of(with_costs(CELLS))
    [metric] = [each for each in model.metrics.custom if each.name == COST_METRIC]
    assert metric.definition == (
        "1000 * sum(CASE WHEN {{prediction_col}} = 'ok' AND {{label_col}} = 'broken' THEN 40.0E0 "
        "WHEN {{prediction_col}} = 'broken' AND {{label_col}} = 'ok' THEN 2.5E0 ELSE 0E0 END) "
        "/ count({{label_col}})"
    )
    assert model.costs is not None
    assert model.costs.by_pair == {("ok", "broken"): 40.0, ("broken", "ok"): 2.5}


def test_a_metric_that_is_there_already_is_not_added_again() -> None:
    once = with_cost_metric(settings_of(with_costs(CELLS)))
    assert with_cost_metric(once) == once
    assert len(once["metrics"]["custom"]) == 1


def test_without_costs_nothing_is_measured_besides() -> None:
    assert model_of().metrics.custom == ()
    assert "costs" not in settings_of()


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ([CELLS[0], CELLS[0]], "predicted 'ok' of label 'broken' stands there twice"),
        ([{"predicted": "fine", "label": "ok", "cost": 1}], "costs.cells: 'fine' is none of"),
        ([], "at least 1 item"),
    ],
)
def test_a_matrix_that_cannot_be_is_refused(cells: list[dict[str, Any]], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        model_of(with_costs(cells))
