"""How often values occurred, on a grid that depends on the values alone: merging is exact.

The grid is that of the doubles themselves. Their bits, read as whole numbers, rise with the values;
a bucket of level L holds the doubles whose numbers agree but for the last L bits, and knows the
least and the greatest of them. The level is the least at which no more buckets are in use than are
allowed. Buckets of a level lie whole in those of the next one, so what is known of two sets of
values tells what would be known of both together, exactly: neither the order nor the split of the
values can be seen in it.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

_MAGIC = b"VH"
_FORMAT = 1
_HEADER = 16
_SIGN = np.int64(np.iinfo(np.int64).min)
_LEVELS = 64
_WIDTHS = tuple(np.dtype(name) for name in ("<u1", "<u2", "<u4", "<u8"))


@dataclass(frozen=True)
class ValueHistogram:
    """Counts of finite values in buckets, in rising order.

    Attributes:
        allowed: how many buckets may be in use.
        level: last bits that the doubles of a bucket may differ in; at 0 each bucket is a value.
        counts: values in each bucket.
        least: number of the least value in each.
        greatest: number of the greatest value in each.
    """

    allowed: int
    level: int
    counts: np.ndarray
    least: np.ndarray
    greatest: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, allowed: int) -> "ValueHistogram":
        """Of finite values, in any order.

        >>> few = ValueHistogram.of(np.array([3.0, 1.0, 3.0]), allowed=2)
        >>> few.level, few.order_statistics(np.arange(3)).tolist()
        (0, [1.0, 3.0, 3.0])
        """
        numbers, counts = np.unique(_numbers(values), return_counts=True)
        return cls(allowed, 0, counts, numbers, numbers)._fitted()

    @classmethod
    def merged(cls, *parts: "ValueHistogram") -> "ValueHistogram":
        """Of the values of all parts, with the bucket limit of the part that has the fewest."""
        counts, least, greatest = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("counts", "least", "greatest")
        )
        order = np.argsort(least, kind="stable")
        level, allowed = max(part.level for part in parts), min(part.allowed for part in parts)
        return (
            cls(allowed, level, counts[order], least[order], greatest[order])._at(level)._fitted()
        )

    @property
    def is_exact(self) -> bool:
        """Whether it knows all values."""
        return bool(np.array_equal(self.least, self.greatest))

    @property
    def n(self) -> int:
        """How many values there are."""
        return int(self.counts.sum())

    @property
    def middles(self) -> np.ndarray:
        """For each bucket, the middle between its least and its greatest value."""
        return self._low + (self._high - self._low) / 2

    def order_statistics(self, places: np.ndarray) -> np.ndarray:
        """The values at these places of the sorted values, from 0.

        Those of a bucket are taken to lie evenly between the least and the greatest, so a value is
        off by less than they are apart: a share of 2**(level - 52) of the value at most.
        """
        bucket = np.searchsorted(self._up_to, places, side="right")
        within = places - (self._up_to[bucket] - self.counts[bucket])
        share = within / np.maximum(self.counts[bucket] - 1, 1)
        return self._low[bucket] + (self._high[bucket] - self._low[bucket]) * np.clip(share, 0, 1)

    def count_up_to(self, edges: np.ndarray) -> np.ndarray:
        """Return how many values are at most each edge, those of a bucket taken to lie evenly."""
        # The first bucket that is not wholly up to the edge.
        bucket = np.searchsorted(self._high, edges, side="right")
        up_to_edge = np.append(0, self._up_to)[bucket]
        inside = np.flatnonzero(
            (bucket < len(self.counts)) & (edges >= np.append(self._low, np.inf)[bucket])
        )
        own = bucket[inside]
        share = (edges[inside] - self._low[own]) / (self._high[own] - self._low[own])
        up_to_edge[inside] += np.floor(share * (self.counts[own] - 1)).astype(np.int64) + 1
        return up_to_edge

    def to_bytes(self) -> bytes:
        """As it is kept: a header, then the buckets' counts, gaps and widths."""
        # Differences of 64-bit numbers may be too large for a sign; without one they are right,
        # whatever wraps around.
        gaps = np.diff(self.least, prepend=self.least[:1])
        parts = [part.view(np.uint64) for part in (self.counts, gaps, self.greatest - self.least)]
        widths = [_width(part) for part in parts]
        sizes = np.array([self.allowed, len(self.counts)], dtype="<u4").tobytes()
        header = _MAGIC + bytes([_FORMAT, self.level, *widths]) + sizes
        first = self.least[:1].astype("<i8").tobytes()
        arrays = [
            part.astype(_WIDTHS[width]).tobytes() for part, width in zip(parts, widths, strict=True)
        ]
        return b"".join([header.ljust(_HEADER, b"\0"), first, *arrays])

    @classmethod
    def from_bytes(cls, content: bytes) -> "ValueHistogram":
        """The inverse of `to_bytes`.

        Raises:
            ValueError: the bytes are of something else, or of a later release.
        """
        if not is_value_histogram(content) or content[2] != _FORMAT:
            raise ValueError("The bytes are no value histogram that this release can read.")
        allowed, size = np.frombuffer(content, "<u4", 2, 7).tolist()
        first = np.frombuffer(content, "<i8", min(size, 1), _HEADER)
        start, arrays = _HEADER + first.nbytes, []
        for width in content[4:7]:
            array = np.frombuffer(content, _WIDTHS[width], size, start)
            arrays.append(array.astype(np.uint64).view(np.int64))
            start += array.nbytes
        counts, gaps, spreads = arrays
        least = np.cumsum(gaps) + (first[0] if size else 0)  # wraps around as the gaps did
        return cls(allowed, content[3], counts, least, least + spreads)

    def _fitted(self) -> "ValueHistogram":
        """At the lowest level, from its own up, that needs no more buckets than allowed."""
        low, high = self.level, _LEVELS - 1
        while low < high:
            middle = (low + high) // 2
            if len(_starts(self.least >> middle)) <= self.allowed:
                high = middle
            else:
                low = middle + 1
        return self._at(low) if low > self.level else self

    def _at(self, level: int) -> "ValueHistogram":
        """With the buckets of the level, a higher one."""
        starts = _starts(self.least >> level)
        if not len(starts):
            return self
        counts = np.add.reduceat(self.counts, starts)
        greatest = np.maximum.reduceat(self.greatest, starts)
        return ValueHistogram(self.allowed, level, counts, self.least[starts], greatest)

    @cached_property
    def _up_to(self) -> np.ndarray:
        """Values up to the end of each bucket."""
        return np.cumsum(self.counts)

    @cached_property
    def _low(self) -> np.ndarray:
        return _doubles(self.least)

    @cached_property
    def _high(self) -> np.ndarray:
        return _doubles(self.greatest)


def is_value_histogram(content: bytes) -> bool:
    """Return whether the bytes are those of a value histogram, of whatever release."""
    return content[:2] == _MAGIC


def _numbers(values: np.ndarray) -> np.ndarray:
    """A whole number for each double that rises with it; the two zeros are one."""
    bits = (np.asarray(values, dtype=np.float64) + 0.0).view(np.int64)
    return np.where(bits >= 0, bits, _SIGN - bits)


def _doubles(numbers: np.ndarray) -> np.ndarray:
    """The inverse of `_numbers`."""
    return np.where(numbers >= 0, numbers, _SIGN - numbers).view(np.float64)


def _starts(ordered: np.ndarray) -> np.ndarray:
    """Return where each run of equal numbers begins."""
    if len(ordered):
        return np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    return np.empty(0, dtype=np.int64)


def _width(numbers: np.ndarray) -> int:
    """The place of the narrowest type that holds the numbers."""
    greatest = int(numbers.max(initial=0))
    return next(place for place, kind in enumerate(_WIDTHS) if greatest <= np.iinfo(kind).max)
