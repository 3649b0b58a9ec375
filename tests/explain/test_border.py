"""The nearest value at which a call changes."""

import numpy as np
import pandas as pd
import pytest
from sklearn.tree import DecisionTreeClassifier

from lakehouse.explain.border import Border, borders_of, nearest

# The places of y are shuffled: 37 and 101 have no common factor.
BACKGROUND = pd.DataFrame(
    {"x": np.linspace(0, 10, 101), "y": np.linspace(-1, 1, 101)[np.arange(101) * 37 % 101]}
)


def row(**values):
    return pd.DataFrame({name: [value] for name, value in values.items()})


def above(name, *thresholds, of):
    """Whether the call differs from the row's, where each threshold turns the call."""

    def call(rows):
        return sum((rows[name] > threshold).to_numpy().astype(int) for threshold in thresholds) % 2

    return lambda rows: call(rows) != call(of)[0]


def test_a_trees_threshold_is_the_border():
    tree = DecisionTreeClassifier(max_depth=1).fit(BACKGROUND, BACKGROUND["x"] > 6.32)
    threshold = tree.tree_.threshold[0]
    piece = row(x=4.0, y=0.0)
    borders = borders_of(
        lambda rows: tree.predict(rows) != tree.predict(piece)[0], piece, BACKGROUND
    )
    assert borders["y"] is None
    assert borders["x"].value == pytest.approx(threshold, rel=1e-6)
    assert tree.predict(piece.assign(x=borders["x"].value))[0] != tree.predict(piece)[0]
    assert nearest(borders) == borders["x"]


@pytest.mark.parametrize(("own", "wanted"), [(2.5, 2.0), (3.9, 4.0), (9.0, 4.0), (1.0, 2.0)])
def test_the_nearer_of_two_sides_is_taken(own, wanted):
    piece = row(x=own, y=0.0)
    found = borders_of(above("x", 2.0, 4.0, of=piece), piece, BACKGROUND)["x"]
    assert found.value == pytest.approx(wanted, abs=1e-9)


def test_a_value_outside_the_background_has_its_border_inside():
    piece = row(x=50.0, y=0.0)
    found = borders_of(above("x", 7.03, of=piece), piece, BACKGROUND)["x"]
    assert found.value == pytest.approx(7.03, abs=1e-6)
    assert found.between == pytest.approx(30 / 101, abs=1e-9)


def test_the_nearest_border_has_the_fewest_rows_before_it_whatever_the_units():
    piece = row(x=5.0, y=0.0)

    def changed(rows):
        return ((rows["x"] > 8) | (rows["y"] > 0.3)).to_numpy()

    borders = borders_of(changed, piece, BACKGROUND)
    assert borders["x"].between == pytest.approx(30 / 101)  # 5.1 to 8.0: its own value is none
    assert borders["y"].between == pytest.approx(0.15, abs=0.015)
    assert nearest(borders).feature == "y"


def test_there_is_no_border_where_no_value_changes_the_call_or_the_value_is_missing():
    piece = row(x=float("nan"), y=0.0)
    borders = borders_of(lambda rows: (rows["x"] > 4).to_numpy(), piece, BACKGROUND)
    assert borders == {"x": None, "y": None}
    assert nearest(borders) is None


def test_a_texts_border_is_the_most_frequent_text_that_changes_the_call():
    background = pd.DataFrame({"kind": np.array(["a", "a", "b", "c", "c", "c", None, "b"], object)})
    piece = pd.DataFrame({"kind": np.array(["c"], object)})
    found = borders_of(lambda rows: (rows["kind"] == "b").to_numpy(), piece, background)["kind"]
    assert found == Border("kind", "b", 0.75)
