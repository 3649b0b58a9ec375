"""Shapley values against their definition, a closed form, and the axioms."""

import itertools

import numpy as np
import pandas as pd
import pytest

from lakehouse.explain.coalitions import game_of
from lakehouse.explain.shapley import EXACT_UP_TO, exact, sampled, shares_of

NAMES = ["a", "b", "c", "d"]


def table_game(players, seed=1):
    """A game whose coalitions have random values."""
    values = np.random.default_rng(seed).normal(size=2**players)
    return lambda coalitions: values[coalitions @ (2 ** np.arange(players))]


def by_permutations(game, players):
    """The mean over all orders of what each player adds to those before it."""
    orders = list(itertools.permutations(range(players)))
    added = np.zeros(players)
    for order in orders:
        coalition = np.zeros((1, players), dtype=bool)
        for player in order:
            before = game(coalition)[0]
            coalition[0, player] = True
            added[player] += game(coalition)[0] - before
    return added / len(orders)


def frames(rows, seed=2):
    values = np.random.default_rng(seed).normal(size=(rows + 1, 4))
    frame = pd.DataFrame(values, columns=NAMES)
    return frame.iloc[:1].reset_index(drop=True), frame.iloc[1:].reset_index(drop=True)


@pytest.mark.parametrize("players", [1, 2, 5])
def test_exact_values_are_the_mean_over_all_orders(players):
    game = table_game(players)
    np.testing.assert_allclose(exact(game, players).added, by_permutations(game, players))


def test_a_linear_models_values_are_its_terms_against_the_means():
    row, background = frames(40)
    weights = np.array([2.0, -1.0, 0.5, 3.0])
    shares = shares_of(game_of(lambda rows: rows.to_numpy() @ weights + 7, row, background), 4)
    closed = weights * (row.to_numpy()[0] - background.to_numpy().mean(axis=0))
    np.testing.assert_allclose(shares.added, closed)
    assert shares.errors is None


def test_values_sum_to_the_prediction_less_the_mean_prediction():
    row, background = frames(40)

    def predict(rows):
        return (rows["a"] * rows["b"] + np.sin(rows["c"]) + (rows["d"] > 0)).to_numpy()

    shares = exact(game_of(predict, row, background), 4)
    assert shares.empty == pytest.approx(predict(background).mean())
    assert shares.empty + shares.added.sum() == pytest.approx(predict(row)[0])


def test_features_that_do_the_same_add_the_same():
    def game(coalitions):
        either = np.maximum(coalitions[:, 0], coalitions[:, 1])
        return either + 2.0 * coalitions[:, 2]

    assert exact(game, 3).added.tolist() == pytest.approx([0.5, 0.5, 2.0])


def test_a_feature_that_no_prediction_depends_on_adds_nothing():
    row, background = frames(30)
    shares = exact(game_of(lambda rows: (rows["a"] * rows["c"]).to_numpy(), row, background), 4)
    assert shares.added[[1, 3]].tolist() == pytest.approx([0, 0], abs=1e-12)
    assert abs(shares.added[0]) > 0.01


def test_sampled_values_are_within_their_standard_errors_of_the_exact_ones():
    game = table_game(6)
    true, found = exact(game, 6).added, sampled(game, 6, permutations=2000)
    assert (abs(found.added - true) < 4 * found.errors).all()
    assert (found.errors > 0).all()


def test_the_standard_error_is_the_spread_of_values_under_other_seeds():
    game = table_game(5)
    runs = [sampled(game, 5, permutations=50, seed=seed) for seed in range(300)]
    spread = np.std([run.added for run in runs], axis=0)
    stated = np.mean([run.errors for run in runs], axis=0)
    np.testing.assert_allclose(stated, spread, rtol=0.15)


def test_sampled_values_sum_to_the_whole_and_repeat():
    game = table_game(6)
    found = sampled(game, 6, permutations=10)
    whole = game(np.ones((1, 6), dtype=bool))[0]
    assert found.empty + found.added.sum() == pytest.approx(whole)
    assert found.added.tolist() == sampled(game, 6, permutations=10).added.tolist()


def test_above_the_limit_values_are_sampled():
    def additive(coalitions):
        return coalitions @ np.arange(coalitions.shape[1], dtype=float)

    assert shares_of(additive, EXACT_UP_TO).errors is None
    more = shares_of(additive, EXACT_UP_TO + 1)
    assert more.errors is not None
    np.testing.assert_allclose(more.added, np.arange(EXACT_UP_TO + 1))


def test_many_coalitions_are_asked_for_in_parts_and_text_is_a_feature(monkeypatch):
    background = pd.DataFrame({"x": [1.0, 2.0], "kind": np.array(["a", None], dtype=object)})
    row = pd.DataFrame({"x": [5.0], "kind": np.array(["b"], dtype=object)})
    asked = []

    def predict(rows):
        asked.append(len(rows))
        assert rows.dtypes.tolist() == background.dtypes.tolist()
        return rows["x"].to_numpy() + 10 * (rows["kind"] == "b").to_numpy()

    monkeypatch.setattr("lakehouse.explain.coalitions._LARGEST", 4)
    assert exact(game_of(predict, row, background), 2).added.tolist() == [3.5, 10.0]
    assert asked == [4, 4]
