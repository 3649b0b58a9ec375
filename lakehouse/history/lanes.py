"""Rows in order of event time, in blocks that keep their figures.

So a row may come at any place, and the figures of a span of many rows cost little: those of the
blocks within it are known, and only the rows at its two ends are gone through.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import chain

BLOCK = 256
"""Rows of a block; one that has twice as many is cut in two."""
_FIGURES = ("terms", "least", "greatest")


class Block:
    """Rows that follow each other.

    Attributes:
        times: microseconds since 1970, ascending; of one time in the order of their coming.
        values: of each row.
    """

    def __init__(self, times: list[int], values: list[float]) -> None:
        """Compute nothing yet."""
        self.times, self.values = times, values

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.times)

    def put(self, place: int, at: int, value: float) -> None:
        """Put a row before the one of that place."""
        self.times.insert(place, at)
        self.values.insert(place, value)
        self._forget_figures()

    def remove(self, place: int) -> None:
        """Leave out the row of that place."""
        del self.times[place], self.values[place]
        self._forget_figures()

    def part(self, start: int, end: int | None) -> "Block":
        """Some of its rows."""
        return Block(self.times[start:end], self.values[start:end])

    @cached_property
    def terms(self) -> Sequence[float]:
        """Few numbers whose sum is exactly that of the values; the values, where it overflows.

        Each is what rounding has left over of the terms before it.
        """
        found: list[float] = []
        try:
            while rest := math.fsum(chain(self.values, (-term for term in found))):
                found.append(rest)
        except OverflowError:
            return self.values
        return found

    @cached_property
    def least(self) -> float:
        """The smallest value."""
        return min(self.values)

    @cached_property
    def greatest(self) -> float:
        """The largest value."""
        return max(self.values)

    def _forget_figures(self) -> None:
        for name in _FIGURES:
            self.__dict__.pop(name, None)


@dataclass(frozen=True)
class Seen:
    """The rows of a span of time.

    Attributes:
        head: those of the first block.
        whole: blocks of which all rows are in the span.
        tail: those of the last block, if it is another one.
    """

    head: Block
    whole: Sequence[Block]
    tail: Block

    def __len__(self) -> int:
        """How many rows there are."""
        return sum(map(len, self.blocks))

    @property
    def blocks(self) -> Iterator[Block]:
        """All of them, by time; none is empty."""
        return (block for block in (self.head, *self.whole, self.tail) if len(block))

    @property
    def first(self) -> Block:
        """The first block; there is one."""
        return next(self.blocks)

    @property
    def last(self) -> Block:
        """The last block; there is one."""
        return next(block for block in (self.tail, *self.whole[-1:], self.head) if len(block))

    def total(self) -> float:
        """The sum of the values, correctly rounded: it depends on no order, and on no block.

        Raises:
            OverflowError: it is no double.
        """
        whole = chain.from_iterable(block.terms for block in self.whole)
        return exact_sum([*self.head.values, *whole, *self.tail.values])


class Lane:
    """Rows in order of event time, of one time in that of their coming."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._blocks: list[Block] = []
        self._firsts: list[int] = []

    def __len__(self) -> int:
        """How many rows there are."""
        return sum(map(len, self._blocks))

    def add(self, at: int, value: float) -> None:
        """Add a row that has come."""
        number = bisect_right(self._firsts, at) - 1
        is_newest = number == len(self._blocks) - 1
        if is_newest and (not self._blocks or self._is_full(at)):
            self._insert(len(self._blocks), Block([at], [value]))
            return
        number = max(number, 0)
        block = self._blocks[number]
        block.put(bisect_right(block.times, at), at, value)
        self._firsts[number] = block.times[0]
        if len(block) == 2 * BLOCK:
            self._blocks[number] = block.part(0, BLOCK)
            self._insert(number + 1, block.part(BLOCK, None))

    @property
    def newest(self) -> int:
        """The greatest time; there is a row."""
        return self._blocks[-1].times[-1]

    def take_back(self, at: int) -> None:
        """Forget the row of that time that was added last, if it has not been dropped."""
        number = bisect_right(self._firsts, at) - 1
        if number < 0:
            return
        block = self._blocks[number]
        place = bisect_right(block.times, at) - 1
        if block.times[place] != at:
            return
        block.remove(place)
        if len(block):
            self._firsts[number] = block.times[0]
        else:
            del self._blocks[number], self._firsts[number]

    def forget(self, before: int) -> None:
        """Drop the rows from before a time."""
        number = bisect_left(self._firsts, before) - 1
        if number < 0:
            return
        del self._blocks[:number], self._firsts[:number]
        oldest = self._blocks[0]
        left = oldest.part(bisect_left(oldest.times, before), None)
        if len(left):
            self._blocks[0], self._firsts[0] = left, left.times[0]
        else:
            del self._blocks[0], self._firsts[0]

    def seen(self, after: int, before: int) -> Seen:
        """The rows whose times lie between two, without them."""
        start = max(bisect_right(self._firsts, after) - 1, 0)
        end = bisect_left(self._firsts, before) - 1
        if end < start:
            return NOTHING
        first, last = self._blocks[start], self._blocks[end]
        begin, stop = bisect_right(first.times, after), bisect_left(last.times, before)
        if start == end:
            return Seen(first.part(begin, max(begin, stop)), (), _EMPTY)
        whole = self._blocks[start + 1 : end]
        return Seen(first.part(begin, None), whole, last.part(0, stop))

    def _is_full(self, at: int) -> bool:
        """Whether a row goes behind the last block, which is full."""
        last = self._blocks[-1]
        return len(last) >= BLOCK and last.times[-1] <= at

    def _insert(self, number: int, block: Block) -> None:
        self._blocks.insert(number, block)
        self._firsts.insert(number, block.times[0])


_EMPTY = Block([], [])
NOTHING = Seen(_EMPTY, (), _EMPTY)
"""No row is seen."""


def exact_sum(terms: Sequence[float]) -> float:
    """The sum of numbers, correctly rounded.

    Raises:
        OverflowError: it is no double.
    """
    try:
        return math.fsum(terms) + 0.0  # never -0.0, whichever Python adds
    except OverflowError:  # on the way, or at the end
        return float(sum(map(Fraction, terms)))
