"""Rows in order of event time, in blocks that keep their figures.

So a row may come at any place, and the figures of a span of many rows cost little: those of the
blocks within it are known, and only the rows at its two ends are gone through. How many rows the
blocks have, and their sum, is one subtraction: sums are whole numbers, which lose nothing.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

BLOCK = 256
"""Rows of a block; one that has twice as many is cut in two."""
_FIGURES = ("total", "least", "greatest")
_UNIT_BITS = 1074
"""Each double is a whole number of 2**-1074, the smallest of them."""


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
    def total(self) -> int:
        """The sum of the values, exactly, in units of 2**-1074."""
        return sum(map(_exact, self.values))

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


class _Together(NamedTuple):
    """Of some blocks.

    Attributes:
        rows: how many they have.
        total: the sum of their values, exactly, in units of 2**-1074.
    """

    rows: int
    total: int


@dataclass(frozen=True)
class Seen:
    """The rows of a span of time, until the lane gets or loses one.

    Attributes:
        head: those of the first block.
        tail: those of the last block, if it is another one.
        lane: all blocks of the lane. To copy some of them would cost more than their sum.
        whole: places of the blocks of which all rows are in the span.
        of_whole: rows and sum of those blocks.
    """

    head: Block
    tail: Block
    lane: Sequence[Block]
    whole: range
    of_whole: _Together

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.head) + self.of_whole.rows + len(self.tail)

    @property
    def blocks(self) -> Iterator[Block]:
        """All of them, by time; none is empty."""
        if len(self.head):
            yield self.head
        yield from map(self.lane.__getitem__, self.whole)
        if len(self.tail):
            yield self.tail

    @property
    def first(self) -> Block:
        """The first block; there is one."""
        return next(self.blocks)

    @property
    def last(self) -> Block:
        """The last block; there is one."""
        if len(self.tail):
            return self.tail
        return self.lane[self.whole[-1]] if self.whole else self.head

    def total(self) -> float:
        """The sum of the values, correctly rounded: it depends on no order, and on no block.

        Raises:
            OverflowError: it is no double.
        """
        return exact_sum([*self.head.values, *self.tail.values], self.of_whole.total)


class Lane:
    """Rows in order of event time, of one time in that of their coming."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._blocks: list[Block] = []
        self._firsts: list[int] = []
        # Of all blocks before each one, as far as they have been asked for.
        self._before = [_Together(0, 0)]

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
        self._changed(number)
        if len(block) == 2 * BLOCK:
            self._blocks[number] = block.part(0, BLOCK)
            self._insert(number + 1, block.part(BLOCK, None))

    @property
    def is_empty(self) -> bool:
        """Whether there is no row."""
        return not self._blocks

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
            self._changed(number)
        else:
            del self._blocks[number], self._firsts[number], self._before[number + 1 :]

    def forget(self, before: int) -> None:
        """Drop the rows from before a time."""
        number = bisect_left(self._firsts, before) - 1
        if number < 0:
            return
        # No span has all rows of the first block: what it has is in no difference.
        del self._blocks[:number], self._firsts[:number], self._before[:number]
        oldest = self._blocks[0]
        left = oldest.part(bisect_left(oldest.times, before), None)
        if len(left):
            self._blocks[0], self._firsts[0] = left, left.times[0]
        else:
            del self._blocks[0], self._firsts[0], self._before[:1]
        if not self._before:
            self._before = [_Together(0, 0)]

    def seen(self, after: int, before: int) -> Seen:
        """The rows whose times lie between two, without them."""
        start = max(bisect_right(self._firsts, after) - 1, 0)
        end = bisect_left(self._firsts, before) - 1
        if end < start:
            return NOTHING
        first, last = self._blocks[start], self._blocks[end]
        begin, stop = bisect_right(first.times, after), bisect_left(last.times, before)
        if start == end:
            return _seen(first.part(begin, max(begin, stop)))
        whole = range(start + 1, end)
        of_whole = self._together(start + 1, end)
        return Seen(first.part(begin, None), last.part(0, stop), self._blocks, whole, of_whole)

    def _together(self, start: int, end: int) -> _Together:
        """Of the blocks from one to before another."""
        known = self._before
        for block in self._blocks[len(known) - 1 : end]:
            rows, total = known[-1]
            known.append(_Together(rows + len(block), total + block.total))
        return _Together(*(to - since for to, since in zip(known[end], known[start], strict=True)))

    def _is_full(self, at: int) -> bool:
        """Whether a row goes behind the last block, which is full."""
        last = self._blocks[-1]
        return len(last) >= BLOCK and last.times[-1] <= at

    def _insert(self, number: int, block: Block) -> None:
        self._blocks.insert(number, block)
        self._firsts.insert(number, block.times[0])

    def _changed(self, number: int) -> None:
        """Know that a block has got or lost a row."""
        self._firsts[number] = self._blocks[number].times[0]
        del self._before[number + 1 :]


_EMPTY = Block([], [])


def _seen(rows: Block) -> Seen:
    """Rows of one block."""
    return Seen(rows, _EMPTY, (), range(0), _Together(0, 0))


NOTHING = _seen(_EMPTY)
"""No row is seen."""


def exact_sum(values: Sequence[float], more: int = 0) -> float:
    """The sum of numbers, correctly rounded.

    Args:
        values: finite ones.
        more: to be added, in units of 2**-1074.

    Raises:
        OverflowError: it is no double.
    """
    try:
        return math.fsum([*values, *_terms(more)]) + 0.0  # never -0.0, whichever Python adds
    except OverflowError:  # on the way, or at the end
        return _rounded(more + sum(map(_exact, values)))


def _exact(value: float) -> int:
    """A double in units of 2**-1074."""
    numerator, denominator = value.as_integer_ratio()
    return numerator << (_UNIT_BITS + 1 - denominator.bit_length())


def _rounded(total: int) -> float:
    """The double that is nearest to a number of such units."""
    return total / (1 << _UNIT_BITS)


def _terms(total: int) -> Iterator[float]:
    """Few doubles whose sum is exactly a number of such units."""
    while total:
        term = _rounded(total)
        yield term
        total -= _exact(term)
