"""Shapley values of a game: what each player adds to the value of all together.

Sources: L. S. Shapley, "A Value for n-Person Games" (1953), for the formula; E. Štrumbelj and
I. Kononenko, "Explaining prediction models and individual predictions with feature contributions"
(2014), for features as players and for the sampling of permutations.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import factorial
from typing import TypeAlias

import numpy as np

Game: TypeAlias = Callable[[np.ndarray], np.ndarray]
"""Coalitions × players, whether each player takes part, to the value of each coalition."""

EXACT_UP_TO = 12
"""Players of whom all coalitions are asked for: 2**12 are 4,096."""
PERMUTATIONS = 500
_SEED = 0


@dataclass(frozen=True)
class Shares:
    """What each player adds, in the unit of the game's values.

    Attributes:
        empty: the value of nobody.
        added: a number for each player; with `empty` they sum to the value of all.
        errors: the standard error of each; None where all coalitions were asked for.
    """

    empty: float
    added: np.ndarray
    errors: np.ndarray | None = None


def shares_of(game: Game, players: int) -> Shares:
    """Exact values for up to EXACT_UP_TO players, sampled ones above."""
    return exact(game, players) if players <= EXACT_UP_TO else sampled(game, players)


def exact(game: Game, players: int) -> Shares:
    """Ask for each of the 2**players coalitions once.

    Player i adds the sum over coalitions S without i of |S|! (n - |S| - 1)! / n! times
    (value of S with i - value of S).

    >>> both_needed = lambda coalitions: 6.0 * coalitions.all(axis=1)
    >>> exact(both_needed, 2).added.tolist()
    [3.0, 3.0]
    """
    numbers = np.arange(2**players)
    coalitions = (numbers[:, None] >> np.arange(players)) % 2 == 1
    values, sizes = game(coalitions), coalitions.sum(axis=1)
    weights = np.array([_weight(size, players) for size in range(players)])
    added = np.zeros(players)
    for player in range(players):
        without = numbers[~coalitions[:, player]]
        gains = values[without + 2**player] - values[without]
        added[player] = (weights[sizes[without]] * gains).sum()
    return Shares(float(values[0]), added)


def sampled(
    game: Game, players: int, permutations: int = PERMUTATIONS, seed: int = _SEED
) -> Shares:
    """The mean over random orders of what each player adds to those before it.

    The standard error of a mean is the deviation over orders (ddof 1) by the root of their number.
    Each order's gains sum to the value of all less that of nobody, and so do their means.

    Args:
        game: coalitions to values.
        players: how many.
        permutations: random orders, two at least.
        seed: the same seed gives the same orders.
    """
    chance = np.random.default_rng(seed)
    gains = np.zeros((permutations, players))
    empty = 0.0
    for each in gains:
        order = chance.permutation(players)
        # Row k has the first k players of the order.
        coalitions = np.argsort(order) < np.arange(players + 1)[:, None]
        values = game(coalitions)
        each[order] = np.diff(values)
        empty = float(values[0])
    errors = gains.std(axis=0, ddof=1) / np.sqrt(permutations)
    return Shares(empty, gains.mean(axis=0), errors)


def _weight(size: int, players: int) -> float:
    return factorial(size) * factorial(players - size - 1) / factorial(players)
