"""What a process keeps in memory of versions: those that it was asked for last."""

from collections.abc import Callable, Hashable
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
MOST_KEPT = 8
"""Versions that a process works with in turn: champion, challenger, those before, and replays."""


class Newest(dict[K, V]):
    """Values by their keys, the one that was asked for last at the end.

    >>> kept = Newest(2)
    >>> for key in "abac":
    ...     _ = kept.of(key, lambda: f"made for {key}")
    >>> list(kept)
    ['a', 'c']
    """

    def __init__(self, most: int = MOST_KEPT) -> None:
        """Keep nothing yet, and later so many values at most."""
        super().__init__()
        self._most = most

    def of(self, key: K, make: Callable[[], V]) -> V:
        """The value of a key, made where it is not kept."""
        value = self.pop(key) if key in self else make()
        self[key] = value
        while len(self) > self._most:
            self.pop(next(iter(self)), None)
        return value
